"""Scores of a split: each photo and caption is encoded once, then compared tile by tile."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hgan.data.batches.batching import Dataset
from hgan.encoded import Encoded
from hgan.model.encoding import concatenate, take
from hgan.model.matcher import Matcher, combine
from hgan.progress import Bar

IMAGES_AT_ONCE = 128
TEXTS_AT_ONCE = 256


@torch.inference_mode()
def encode(
    model: Matcher, data: Dataset, bar: Bar | None = None
) -> tuple[Encoded[Tensor], Encoded[Tensor]]:
    """Encode all photos (view 0) and all captions of a data set; a bar counts photos."""
    device = next(model.parameters()).device
    images = []
    for chunk in _chunks(np.arange(len(data.rows)), IMAGES_AT_ONCE):
        images.append(model.encode_image(data.images(chunk).to(device)))
        if bar is not None:
            bar.advance(len(chunk))
    unique, which = _unique(data.tokens)
    # Captions of like length go together, so that little is padded.
    order = np.argsort([len(data.tokens[t]) for t in unique], kind="stable")
    texts = [
        model.encode_text(data.texts(chunk).to(device))
        for chunk in _chunks(unique[order], TEXTS_AT_ONCE)
    ]
    places = np.argsort(order, kind="stable")[which]
    return concatenate(images), take(concatenate(texts), torch.from_numpy(places))


def _unique(rows: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rows that differ, and for each row, which of these it equals.

    Captions that read the same are encoded once. In batches of their own, they would differ in the
    last bit, and rounding would break ties that the data hold.
    """
    numbers: dict[tuple[int, ...], int] = {}
    which = np.array([numbers.setdefault(tuple(row.tolist()), len(numbers)) for row in rows])
    return np.unique(which, return_index=True)[1], which


@dataclass(frozen=True)
class Member:
    """A model, and a split as it encodes it."""

    model: Matcher
    images: Encoded[Tensor]
    texts: Encoded[Tensor]

    @torch.inference_mode()
    def levels(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """A tile (photos, captions) for each level."""
        return self.model.levels(take(self.images, rows), take(self.texts, columns))

    @torch.inference_mode()
    def scores(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """A tile for each level, and for S where there are several."""
        levels = self.levels(rows, columns)
        return levels | ({"S": combine(levels, self.model.weights)} if len(levels) > 1 else {})


class Scores:
    """Score tiles of one model, by level and for S; or of an ensemble, the mean of its models' S.

    Attributes:
        seconds: time that scoring took until now, encoding left out.
        pairs: photos and captions compared in that time.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members
        self.seconds = 0.0
        self.pairs = 0

    @torch.inference_mode()
    def __call__(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """Tiles (photos, captions) by name, in main memory."""
        start = time.perf_counter()
        found = [member.scores(rows, columns) for member in self.members]
        if len(found) > 1:
            found = [{"S": torch.stack([one[final(one)] for one in found]).mean(0)}]
        tiles = {name: tile.float().cpu() for name, tile in found[0].items()}
        self.seconds += time.perf_counter() - start
        self.pairs += (rows.stop - rows.start) * (columns.stop - columns.start)
        return tiles

    def part(self, rows: slice, columns: Tensor) -> "Scores":
        """Scores of some of the photos and captions; nothing is encoded again."""
        return Scores(
            [Member(m.model, take(m.images, rows), take(m.texts, columns)) for m in self.members]
        )

    @property
    def bytes_per_image(self) -> int:
        """What one photo takes in an index, in float16."""
        return sum(
            2 * array[0].numel()
            for member in self.members
            for array in (member.images.context, member.images.slots, member.images.local)
        )


def final(named: Mapping[str, object]) -> str:
    """Name of the score that counts among these: S, or the only level."""
    return "S" if "S" in named else next(iter(named))


def _chunks(positions: np.ndarray, length: int) -> Iterator[np.ndarray]:
    return (positions[i : i + length] for i in range(0, len(positions), length))
