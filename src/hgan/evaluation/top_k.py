"""Keep the top-k candidates of every query, updated tile by tile."""

import torch
from torch import Tensor

from hgan.processes import Processes

LAST = 2**32 - 1
"""An upper bound of positions."""


class TopK:
    """The top-k captions of each photo, and the top-k photos of each caption.

    Candidates with equal scores are sorted by position. Each tile must be added exactly once.

    Args:
        images: N, the number of photos.
        texts: T, the number of captions.
        k: number of candidates to keep; if there are fewer, all are kept.
    """

    def __init__(self, images: int, texts: int, k: int) -> None:
        self._of_images = _Candidates(images, min(k, texts))
        self._of_texts = _Candidates(texts, min(k, images))

    def add(self, tile: Tensor, rows: slice, columns: slice) -> None:
        """Add a tile of scores (photos, captions)."""
        self._of_images.add(rows, tile, columns.start)
        self._of_texts.add(columns, tile.T, rows.start)

    def merge(self, processes: Processes) -> None:
        """Add the tiles of the other processes."""
        self._of_images.merge(processes)
        self._of_texts.merge(processes)

    @property
    def texts(self) -> Tensor:
        """(N, k) positions of the top captions of each photo, the best first."""
        return self._of_images.positions

    @property
    def images(self) -> Tensor:
        """(T, k) positions of the top photos of each caption, the best first."""
        return self._of_texts.positions


class _Candidates:
    """The top-k candidates of Q queries so far.

    Score and position are packed into one integer with the score in the upper bits, so that all
    candidates of a query have different keys.
    """

    def __init__(self, queries: int, k: int) -> None:
        self.keys = torch.full((queries, k), torch.iinfo(torch.int64).min)

    def add(self, queries: slice, tile: Tensor, first: int) -> None:
        """Merge the scores (q, c) of the candidates from position `first` on, for q queries."""
        seen = torch.arange(first, first + tile.shape[1])
        keys = torch.cat([self.keys[queries], _ordered(tile) << 32 | LAST - seen], 1)
        self.keys[queries] = keys.topk(self.keys.shape[1]).values

    def merge(self, processes: Processes) -> None:
        """Merge the candidates of all processes."""
        if processes.count > 1:
            every = processes.gather(self.keys.T)  # (processes * k, Q)
            self.keys = every.topk(self.keys.shape[1], dim=0).values.T

    @property
    def positions(self) -> Tensor:
        """(Q, k), the best first."""
        return LAST - (self.keys & LAST)


def _ordered(scores: Tensor) -> Tensor:
    """Convert float32 scores to integers with the same order."""
    bits = (scores.contiguous() + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0
    return (bits ^ (bits >> 31 & 0x7FFFFFFF)).long()  # reverses the order of negative numbers
