"""Encoded photos as the points that an index stores."""

from collections.abc import Mapping, Sequence

import numpy as np

from hgan.encoded import Encoded
from hgan.index.store import Entry, Point
from hgan.runtime.similarity import dense


def points_of(
    entries: Sequence[Entry], encoded: Encoded[np.ndarray], weights: Mapping[str, float]
) -> list[Point]:
    """A point for each photo, in the same order.

    Args:
        entries: what is remembered of N photos.
        encoded: the N photos.
        weights: of the levels in S.
    """
    vectors = dense(encoded, weights)  # (N, E)
    return [
        Point(entry, vectors[row], encoded.local[row][encoded.mask[row]])
        for row, entry in enumerate(entries)
    ]
