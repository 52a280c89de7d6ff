"""Ranks of the correct answers, from score tiles: the whole matrix is never in memory.

A wrong candidate ranks above the correct answer if its score is at least as high: ties count
against the model. Ranks start at 0.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from hgan.errors import DataError
from hgan.evaluation.types import Ranks

Scorer = Callable[[slice, slice], dict[str, Tensor]]
"""Slices of photos and captions to score tiles (photos, captions) by name."""
Watcher = Callable[[dict[str, Tensor], slice, slice], None]
"""Gets each tile once, in the order of `tiles`: its scores by name, its photos and captions."""

TILE = (64, 640)
"""Photos and captions in a tile."""


class _Counter:
    """Counts, for one named score, the wrong answers at or above the correct one."""

    def __init__(self, image_of: Tensor, images: int) -> None:
        self.image_of = image_of
        self.positive = torch.empty(len(image_of))  # (T) score of each caption's own photo
        self.best = torch.full((images,), -torch.inf)  # (N) best own caption of each photo
        self.above_image = torch.zeros(images, dtype=torch.long)
        self.above_text = torch.zeros(len(image_of), dtype=torch.long)
        self.tied_image = torch.zeros(images, dtype=torch.bool)
        self.tied_text = torch.zeros(len(image_of), dtype=torch.bool)

    def collect(self, tile: Tensor, own: Tensor, rows: slice, columns: slice) -> None:
        """First pass: store the scores of the correct answers in a tile that has some."""
        row, column = own.nonzero(as_tuple=True)
        self.positive[column + columns.start] = tile[row, column]
        best = tile.masked_fill(~own, -torch.inf).amax(1)
        self.best[rows] = torch.maximum(self.best[rows], best)

    def count(self, tile: Tensor, own: Tensor, rows: slice, columns: slice) -> None:
        """Second pass: count the wrong answers of a tile."""
        best, positive = self.best[rows][:, None], self.positive[columns]
        self.above_image[rows] += ((tile >= best) & ~own).sum(1)
        self.above_text[columns] += ((tile >= positive) & ~own).sum(0)
        self.tied_image[rows] |= ((tile == best) & ~own).any(1)
        self.tied_text[columns] |= ((tile == positive) & ~own).any(0)

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
) -> dict[str, Ranks]:
    """Rank all captions for each photo and all photos for each caption, for each named score.

    Args:
        scorer: gives score tiles; called once for each tile, twice if it has correct answers.
        image_of: (T) ground truth: the photo of each caption.
        images: N, the number of photos.
        tile: photos and captions scored at once; the result does not depend on it.
        watch: is called with each tile.

    Raises:
        DataError: a score is not finite, a tile has another shape, or a photo has no caption.
    """
    truth = torch.from_numpy(np.asarray(image_of, dtype=np.int64))
    if len(torch.unique(truth)) != images:
        raise DataError(f"of {images} photos only {len(torch.unique(truth))} have a caption")
    counters: dict[str, _Counter] = {}
    for step in ("collect", "count"):
        for rows, columns in tiles(images, len(truth), tile):
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
    return {name: counter.ranks() for name, counter in counters.items()}


def tiles(images: int, texts: int, tile: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """The tiles that cover all photos and captions."""
    for i in range(0, images, tile[0]):
        for t in range(0, texts, tile[1]):
            yield slice(i, min(i + tile[0], images)), slice(t, min(t + tile[1], texts))


def _checked(name: str, scores: Tensor, shape: torch.Size, rows: slice) -> Tensor:
    """The tile, checked: finite scores of the expected shape."""
    if scores.shape != shape:
        raise DataError(
            f"{name} scores have shape {tuple(scores.shape)}, not {tuple(shape)}; rows are photos, "
            "columns captions"
        )
    if not torch.isfinite(scores).all():
        raise DataError(
            f"{name} scores of photos {rows.start} to {rows.stop - 1} contain NaN or "
            "infinity; look for NaN in features or weights"
        )
    return scores
