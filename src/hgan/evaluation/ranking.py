"""Compute the ranks of correct answers tile by tile, without the whole score matrix in memory.

A wrong candidate is ranked above the correct answer if its score is at least as high, so ties count
against the model. Ranks start at 0.
"""

import json
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from hgan.errors import DataError
from hgan.evaluation.types import Ranks
from hgan.processes import ALONE, Processes

Scorer = Callable[[slice, slice], dict[str, Tensor]]
"""A function from slices of photos and captions to score tiles (photos, captions) by name."""
Watcher = Callable[[dict[str, Tensor], slice, slice], None]
"""A function that is called once for each tile, in the order of `tiles`, with the scores by name
and the slices of photos and captions."""

TILE = (64, 640)
"""Number of photos and captions in a tile."""


class _Counter:
    """Counts the wrong answers that are ranked above the correct ones, for one named score."""

    def __init__(self, image_of: Tensor, images: int) -> None:
        self.image_of = image_of
        # (T) score of each caption with its photo
        self.positive = torch.full((len(image_of),), -torch.inf)
        self.best = torch.full((images,), -torch.inf)  # (N) best score of a photo's own captions
        self.above_image = torch.zeros(images, dtype=torch.long)
        self.above_text = torch.zeros(len(image_of), dtype=torch.long)
        self.tied_image = torch.zeros(images, dtype=torch.bool)
        self.tied_text = torch.zeros(len(image_of), dtype=torch.bool)

    def collect(self, tile: Tensor, own: Tensor, rows: slice, columns: slice) -> None:
        """First pass: store the scores of the correct answers in a tile."""
        row, column = own.nonzero(as_tuple=True)
        self.positive[column + columns.start] = tile[row, column]
        best = tile.masked_fill(~own, -torch.inf).amax(1)
        self.best[rows] = torch.maximum(self.best[rows], best)

    def count(self, tile: Tensor, own: Tensor, rows: slice, columns: slice) -> None:
        """Second pass: count the wrong answers in a tile."""
        best, positive = self.best[rows][:, None], self.positive[columns]
        self.above_image[rows] += ((tile >= best) & ~own).sum(1)
        self.above_text[columns] += ((tile >= positive) & ~own).sum(0)
        self.tied_image[rows] |= ((tile == best) & ~own).any(1)
        self.tied_text[columns] |= ((tile == positive) & ~own).any(0)

    def merge(self, step: str, processes: Processes) -> None:
        """Exchange the results of a pass with the other processes; each has rows of its own."""
        if processes.count == 1:
            return
        if step == "collect":
            self.positive = processes.largest(self.positive)
            return
        self.above_image = processes.sum(self.above_image)
        self.above_text = processes.sum(self.above_text)
        self.tied_image = processes.sum(self.tied_image.long()) > 0
        self.tied_text = processes.sum(self.tied_text.long()) > 0

    def ranks(self) -> Ranks:
        """The ranks, after the second pass."""
        tied = int(self.tied_image.sum() + self.tied_text.sum())
        return Ranks(self.above_image.numpy(), self.above_text.numpy(), tied)


def rank(
    scorer: Scorer,
    image_of: np.ndarray,
    images: int,
    tile: tuple[int, int] = TILE,
    watch: Watcher | None = None,
    processes: Processes = ALONE,
) -> dict[str, Ranks]:
    """Rank all captions for each photo and all photos for each caption, for each named score.

    Args:
        scorer: computes a tile of scores; called once per tile, or twice for tiles with correct
            answers.
        image_of: (T) the photo of each caption, the ground truth.
        images: N, the number of photos.
        tile: number of photos and captions in a tile; the result does not depend on it.
        watch: called with each tile.
        processes: the processes that are dealt rows of tiles; `scorer` and `watch` are called with
            those of this process, and the result is the same in all of them.

    Raises:
        DataError: a score is not finite, a tile has a wrong shape, or a photo has no caption.
    """
    truth = torch.from_numpy(np.asarray(image_of, dtype=np.int64))
    if len(torch.unique(truth)) != images:
        raise DataError(f"only {len(torch.unique(truth))} of {images} photos have a caption")
    counters: dict[str, _Counter] = {}
    for step in ("collect", "count"):
        for rows, columns in tiles(images, len(truth), tile, processes):
            own = truth[columns] == torch.arange(rows.start, rows.stop)[:, None]
            if step == "collect" and not own.any():
                continue
            scores = {
                name: _checked(name, found, own.shape, rows).float().cpu()
                for name, found in scorer(rows, columns).items()
            }
            for name, found in scores.items():
                counter = counters.setdefault(name, _Counter(truth, images))
                getattr(counter, step)(found, own, rows, columns)
            if watch is not None and step == "count":
                watch(scores, rows, columns)
        for name in _names(counters, processes):
            counter = counters.setdefault(name, _Counter(truth, images))
            counter.merge(step, processes)
    return {name: counter.ranks() for name, counter in counters.items()}


def _names(counters: dict[str, _Counter], processes: Processes) -> list[str]:
    """Names of the scores; a process without tiles gets them from the others."""
    if processes.count == 1:
        return list(counters)
    return max((json.loads(text) for text in processes.texts(json.dumps(list(counters)))), key=len)


def tiles(
    images: int, texts: int, tile: tuple[int, int], processes: Processes = ALONE
) -> Iterator[tuple[slice, slice]]:
    """The tiles that cover all photos and captions; of several processes, each is dealt rows."""
    for i in range(0, images, tile[0])[processes.every()]:
        for t in range(0, texts, tile[1]):
            yield slice(i, min(i + tile[0], images)), slice(t, min(t + tile[1], texts))


def _checked(name: str, scores: Tensor, shape: torch.Size, rows: slice) -> Tensor:
    """Return the tile after checking that its scores are finite and its shape is correct."""
    if scores.shape != shape:
        raise DataError(
            f"{name} scores have shape {tuple(scores.shape)}, not {tuple(shape)}; rows are photos "
            "and columns are captions"
        )
    if not torch.isfinite(scores).all():
        raise DataError(
            f"{name} scores of photos {rows.start} to {rows.stop - 1} contain NaN or "
            "infinity; check features and weights for NaN"
        )
    return scores
