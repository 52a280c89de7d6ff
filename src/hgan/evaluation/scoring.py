"""Compute the scores of a split: encode each photo and caption once, then compare tile by tile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hgan.chunks import chunks
from hgan.data.batches.dataset import Dataset
from hgan.data.batches.tokens import ENCODE_BATCH, distinct_by_length
from hgan.encoded import TOTAL, Encoded, final_level
from hgan.model.encoding import concatenate, gather, take
from hgan.model.matcher import Matcher, combine
from hgan.processes import ALONE, Processes
from hgan.progress import Bar

IMAGE_BATCH = 128


@torch.inference_mode()
def encode(
    model: Matcher, data: Dataset, bar: Bar | None = None, processes: Processes = ALONE
) -> tuple[Encoded[Tensor], Encoded[Tensor]]:
    """Encode all photos (view 0) and all captions of a data set; `bar` shows the progress of
    photos. Several processes encode some of the batches each, and get all results."""
    device = next(model.parameters()).device

    def photos(chunk: np.ndarray) -> Encoded[Tensor]:
        if bar is not None:
            bar.advance(len(chunk))
        return model.encode_photos(data.images(chunk).to(device))

    captions, places = distinct_by_length(data.tokens)
    images = _shared(photos, np.arange(len(data.rows)), IMAGE_BATCH, processes)
    texts = _shared(
        lambda chunk: model.encode_text(data.texts(chunk).to(device)),
        captions,
        ENCODE_BATCH,
        processes,
    )
    return images, take(texts, torch.from_numpy(places))


def _shared(
    encode_batch: Callable[[np.ndarray], Encoded[Tensor]],
    positions: np.ndarray,
    size: int,
    processes: Processes,
) -> Encoded[Tensor]:
    """Encode the items at these positions, in their order. Batches are dealt to the processes, and
    are those of one process, so that results are the same bit for bit."""
    batches = list(chunks(positions, size))
    own = [encode_batch(batch) for batch in batches[processes.every()]]
    if not own:  # fewer batches than processes: the widths are needed, but no row
        own = [take(encode_batch(batches[0]), slice(0))]
    if processes.count == 1:
        return concatenate(own)
    places = list(chunks(np.arange(len(positions)), size))
    arrived = [part for rank in range(processes.count) for part in places[rank :: processes.count]]
    back = np.argsort(np.concatenate(arrived), kind="stable")
    return take(gather(concatenate(own), processes), torch.from_numpy(back))


class Comparer(Protocol):
    """What evaluation needs of a model once everything is encoded; a matcher has it."""

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each level in S."""

    def levels(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The similarity at each level, (B, T) float32 each."""


@dataclass(frozen=True)
class Member:
    """A model, and the photos and captions of a split that it has encoded."""

    model: Comparer
    images: Encoded[Tensor]
    texts: Encoded[Tensor]

    @torch.inference_mode()
    def levels(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """A tile of scores (photos, captions) for each level."""
        return self.model.levels(take(self.images, rows), take(self.texts, columns))

    @torch.inference_mode()
    def scores(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """A tile of scores for each level and, if there are several, for S."""
        levels = self.levels(rows, columns)
        if len(levels) == 1:
            return levels
        return levels | {TOTAL: combine(levels, self.model.weights)}


class Scores:
    """Computes score tiles: for one model, of each level and S; for an ensemble, the mean of S.

    Attributes:
        members: the model, or the models of an ensemble.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of photos and captions."""
        first = self.members[0]
        return len(first.images.context), len(first.texts.context)

    @torch.inference_mode()
    def __call__(self, rows: slice, columns: slice) -> dict[str, Tensor]:
        """Tiles of scores (photos, captions) by name, on the CPU."""
        results = [member.scores(rows, columns) for member in self.members]
        if len(results) > 1:
            mean = torch.stack([scores[final_level(scores)] for scores in results]).mean(0)
            results = [{TOTAL: mean}]
        return {name: tile.float().cpu() for name, tile in results[0].items()}

    def part(self, rows: slice | Tensor, columns: Tensor) -> "Scores":
        """Scores of some of the photos and captions, by position; nothing is encoded again."""
        return Scores(
            [Member(m.model, take(m.images, rows), take(m.texts, columns)) for m in self.members]
        )

    @property
    def bytes_per_image(self) -> int:
        """Size of one encoded photo in bytes, in float16."""
        return sum(
            2 * array[0].numel()
            for member in self.members
            for array in (member.images.context, member.images.slots, member.images.local)
        )
