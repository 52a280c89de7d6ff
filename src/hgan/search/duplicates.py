"""Group near-duplicates, such as copies that were saved again, under the best of them.

Two photos are near-duplicates if the cosine of their dense vectors (context and slots, weighted by
level) is at least `NEAR`, or if their files have the same bytes.
"""

from collections.abc import Sequence

import numpy as np

from hgan.index.store.contract import Point

NEAR = 0.95
"""Minimum cosine of near-duplicates. Measured with the shipped bundle on 1,200 photos of Flickr8k
(benchmarks/duplicates.py): copies saved again at quality 90 or 10 % brighter have at least 0.953,
those cropped by 2 % a median of 0.977, and different photos less, except for one pair of a burst,
which has 0.950."""


def fold(points: Sequence[Point], groups: int) -> list[list[int]]:
    """Group points by near-duplicates; returns their positions, the best of each group first.

    A point is compared only with the first point of its group, so that a chain of small differences
    does not group photos that are different.

    Args:
        points: the points, best first.
        groups: maximum number of groups to return.
    """
    vectors = np.stack([point.dense for point in points]) if points else np.zeros((0, 0))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)  # (n, 1)
    vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    digests = np.array([point.entry.digest for point in points])
    left = np.ones(len(points), np.bool_)
    found: list[list[int]] = []
    for first in range(len(points)):
        if len(found) == groups:
            break
        if left[first]:
            near = (vectors @ vectors[first] >= NEAR) | (digests == digests[first])
            found.append(np.flatnonzero(near & left).tolist())
            left &= ~near
    return found
