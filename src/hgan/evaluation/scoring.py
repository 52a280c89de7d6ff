"""Scores of a split: each photo and caption is encoded once, then compared tile by tile."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hgan.chunks import chunks
from hgan.data.batches.dataset import Dataset
from hgan.encoded import COMBINED, Encoded, final_level
from hgan.model.encoding import concatenate, take
from hgan.model.matcher import Matcher
from hgan.model.similarity import combine
from hgan.progress import Bar

IMAGES_AT_ONCE = 128
TEXTS_AT_ONCE = 256


@torch.inference_mode()
def encode(
    model: Matcher, data: Dataset, bar: Bar | None = None
) -> tuple[Encoded[Tensor], Encoded[Tensor]]:
    """Encode all photos (view 0) and all captions of a data set; the bar counts photos."""
    device = next(model.parameters()).device
    images = []
    for chunk in chunks(np.arange(len(data.rows)), IMAGES_AT_ONCE):
        images.append(model.encode_image(data.images(chunk).to(device)))
        if bar is not None:
            bar.advance(len(chunk))
    unique, which = _unique(data.tokens)
    # Captions of similar length go together, for little padding.
    order = np.argsort([len(data.tokens[t]) for t in unique], kind="stable")
    texts = [
        model.encode_text(data.texts(chunk).to(device))
        for chunk in chunks(unique[order], TEXTS_AT_ONCE)
    ]
    places = np.argsort(order, kind="stable")[which]
    return concatenate(images), take(concatenate(texts), torch.from_numpy(places))


def _unique(rows: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the distinct rows (U), and for each row, the index (T) of its equal among them.

    Equal captions are encoded once. In different batches, their codes would differ in the last bit,
    and rounding would break ties that are in the data.
    """
    numbers: dict[tuple[int, ...], int] = {}
    which = np.array([numbers.setdefault(tuple(row.tolist()), len(numbers)) for row in rows])
    return np.unique(which, return_index=True)[1], which


@dataclass(frozen=True)
class Member:
    """A model, and a split that it has encoded."""

    model: Matcher
    images: Encoded[Tensor]
    texts: Encoded[Tensor]

    @torch.inference_mode()
    def levels(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """A tile (photos, captions) for each level.

        Always float32: with the few digits of bfloat16, many scores would be equal.
        """
        with torch.autocast(self.images.context.device.type, enabled=False):
            return self.model.levels(take(self.images, rows), take(self.texts, columns))

    @torch.inference_mode()
    def scores(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """A tile for each level, and for S if there are several."""
        levels = self.levels(rows, columns)
        if len(levels) == 1:
            return levels
        return levels | {COMBINED: combine(levels, self.model.weights)}


class Scores:
    """Score tiles of one model, by level and for S; or of an ensemble, the mean of its models' S.

    Attributes:
        seconds: time that scoring has taken so far, without encoding.
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
            mean = torch.stack([one[final_level(one)] for one in found]).mean(0)
            found = [{COMBINED: mean}]
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
        """Size of one encoded photo in an index, in float16."""
        return sum(
            2 * array[0].numel()
            for member in self.members
            for array in (member.images.context, member.images.slots, member.images.local)
        )
