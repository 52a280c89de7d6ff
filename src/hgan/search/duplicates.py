"""Group near-duplicates, such as copies that were saved again, under the best of them.

Two photos are near-duplicates if the cosine of their dense vectors (context and slots, weighted by
level) is at least `NEAR`, or if their files have the same bytes.
"""

from collections.abc import Sequence

import numpy as np

from hgan.index.store.contract import Point

NEAR = 0.95
"""Minimum cosine of near-duplicates. Measured on 7,000 photos of Flickr8k with the shipped bundle:
different photos have less than 0.936; copies saved again at quality 90, 10 % brighter or cropped by
2 % have medians from 0.97 to 0.995. Photos of a burst with visible differences (0.82 to 0.94) are
not near-duplicates."""


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
