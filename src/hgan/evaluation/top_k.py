"""The k best candidates of every query, updated tile by tile."""

import torch
from torch import Tensor

LAST = 2**32 - 1
"""Higher than every position."""


class TopK:
    """The k best captions of each photo, and the k best photos of each caption.

    Of equal scores, the candidate at the lower position comes first. Each tile is added once.

    Args:
        images: N, the number of photos.
        texts: T, the number of captions.
        k: number of candidates; all, if there are fewer.
    """

    def __init__(self, images: int, texts: int, k: int) -> None:
        self._of_images = _Candidates(images, min(k, texts))
        self._of_texts = _Candidates(texts, min(k, images))

    def add(self, tile: Tensor, rows: slice, columns: slice) -> None:
        """Add the scores (photos, captions) of a tile."""
        self._of_images.add(rows, tile, columns.start)
        self._of_texts.add(columns, tile.T, rows.start)

    @property
    def texts(self) -> Tensor:
        """(N, k) positions of each photo's best captions, the best first."""
        return self._of_images.positions

    @property
    def images(self) -> Tensor:
        """(T, k) positions of each caption's best photos, the best first."""
        return self._of_texts.positions


class _Candidates:
    """The k best candidates so far of Q queries.

    Score and position are packed into one integer, the score in the upper bits, so that no two
    are equal.
    """

    def __init__(self, queries: int, k: int) -> None:
        self.keys = torch.full((queries, k), torch.iinfo(torch.int64).min)

    def add(self, queries: slice, tile: Tensor, first: int) -> None:
        """Merge the scores (q, c) of candidates `first`, `first` + 1, ... for some queries."""
        seen = torch.arange(first, first + tile.shape[1])
        keys = torch.cat([self.keys[queries], _ordered(tile) << 32 | LAST - seen], 1)
        self.keys[queries] = keys.topk(self.keys.shape[1]).values

    @property
    def positions(self) -> Tensor:
        """(Q, k), the best first."""
        return LAST - (self.keys & LAST)


def _ordered(scores: Tensor) -> Tensor:
    """Float32 scores to integers in the same order."""
    bits = (scores.contiguous() + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0
    return (bits ^ (bits >> 31 & 0x7FFFFFFF)).long()  # for negative numbers, larger bits mean less
