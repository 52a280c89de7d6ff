"""Blocks of photos and captions, for matchers that compare regions with words.

The intermediate results of such a matcher are much larger than the scores. For all pairs of a batch
they would not fit in memory, and blocks that fit in the processor's cache are several times faster.
Captions are sorted by their number of words, so that nothing is computed for padding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import NamedTuple

import torch
from torch import Tensor

from hgan.encoded import Encoded


@dataclass(frozen=True)
class Captions:
    """Captions of a block, in the order of their number of words, without padding.

    All photos are compared with the same captions (g = 1), or each photo with its own (g = b).
    """

    whole: Tensor
    """(g, t, D): one vector for each caption, as in `Encoded.context`."""
    words: Tensor
    """(g, n, D_l): the words of all captions, one caption after the other."""
    groups: tuple[tuple[int, int], ...]
    """Groups of captions with the same number of words: how many captions, and words in each."""

    def split(self, x: Tensor, dim: int) -> list[Tensor]:
        """Split a dimension of n words into groups, and into captions and words in each."""
        parts = torch.split(x, [captions * words for captions, words in self.groups], dim)
        return [
            torch.unflatten(part, dim, group)
            for part, group in zip(parts, self.groups, strict=True)
        ]


class Packed(NamedTuple):
    """All captions of a batch, sorted by their number of words, without padding."""

    whole: Tensor
    """(T, D)"""
    words: Tensor
    """(N, D_l): the words of all captions, one caption after the other."""
    counts: list[int]
    """(T) number of words of each caption, ascending."""
    order: Tensor
    """(T) positions of the captions in the batch."""


def pack(texts: Encoded[Tensor]) -> Packed:
    """Sort captions by their number of words, and remove padding."""
    counts = texts.mask.sum(1)  # (T)
    order = counts.argsort(stable=True)
    caption, place = texts.mask[order].nonzero(as_tuple=True)  # (N) each
    rows = order[caption] * texts.mask.shape[1] + place
    words = texts.local.flatten(0, 1).index_select(0, rows)
    return Packed(texts.context.index_select(0, order), words, counts[order].tolist(), order)


@dataclass(frozen=True)
class Size:
    """The largest size of a block. A caption with more words is alone in its group and block."""

    photos: int
    """Number of photos."""
    words: int
    """Number of words of all captions together."""
    group: int
    """Number of words of a group of captions."""


class Block(NamedTuple):
    """The photos, the captions and the words of a block."""

    photos: slice
    captions: slice
    words: slice
    groups: tuple[tuple[int, int], ...]
    """The groups of its captions, see `Captions`."""


def blocks(photos: int, counts: Sequence[int], size: Size) -> Iterator[Block]:
    """The blocks of B photos and captions with these numbers of words (T), in ascending order."""
    starts = [0, *accumulate(counts)]
    columns, first = [], 0
    for groups in _together(_groups(counts, size.group), size.words):
        last = first + sum(captions for captions, _ in groups)
        columns.append((slice(first, last), slice(starts[first], starts[last]), tuple(groups)))
        first = last
    for start in range(0, photos, size.photos):
        for column in columns:
            yield Block(slice(start, start + size.photos), *column)


def _groups(counts: Sequence[int], size: int) -> Iterator[tuple[int, int]]:
    for words, captions in groupby(counts):
        left, most = len(list(captions)), max(1, size // max(1, words))
        while left > 0:
            yield min(left, most), words
            left -= most


def _together(groups: Iterator[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    """Put consecutive groups together, up to this number of words."""
    found: list[tuple[int, int]] = []
    for group in groups:
        if found and sum(captions * words for captions, words in [*found, group]) > size:
            yield found
            found = []
        found.append(group)
    if found:
        yield found
