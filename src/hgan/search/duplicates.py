"""Group near-duplicates, such as copies that were saved again, under the best of them.

Two photos are near-duplicates if the cosine of their dense vectors (context and slots, weighted by
level) is at least `NEAR`; if it is at least `CLOSE` and their fingerprints are alike, as those of
copies that were resized or saved at a low quality; or if their files have the same bytes. The
frames of a video are grouped as well, whatever they show.
"""

from collections.abc import Sequence

import numpy as np

from hgan.index.store.contract import Entry, Point
from hgan.runtime.fingerprint import ALIKE, SIDE, from_hex

NEAR = 0.95
"""Minimum cosine of near-duplicates. Measured with the shipped bundle on 1,200 photos of Flickr8k
(benchmarks/duplicates.py): copies saved again at quality 90 or 10 % brighter have at least 0.953,
those cropped by 2 % a median of 0.977, and different photos less, except for one pair of a burst,
which has 0.950."""
CLOSE = 0.9
"""Minimum cosine of copies by fingerprint; copies have at least 0.93. Photos without edges, such as
a clear sky, may have the same fingerprint and look different."""


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
    prints = _signs([point.entry for point in points])
    alike = SIDE * SIDE - 2 * ALIKE  # inner product of fingerprints with `ALIKE` different bits
    digests = np.array([point.entry.digest for point in points])
    videos = np.array([p.entry.file if p.entry.moment is not None else "" for p in points])
    left = np.ones(len(points), np.bool_)
    found: list[list[int]] = []
    for first in range(len(points)):
        if len(found) == groups:
            break
        if left[first]:
            cosines = vectors @ vectors[first]
            copies = (cosines >= CLOSE) & (prints @ prints[first] >= alike)
            near = (cosines >= NEAR) | copies | (digests == digests[first])
            if videos[first]:
                near |= videos == videos[first]
            found.append(np.flatnonzero(near & left).tolist())
            left &= ~near
    return found


def _signs(entries: Sequence[Entry]) -> np.ndarray:
    """Fingerprints (n, SIDE * SIDE) float32 as 1 and -1; zeros where it is not known."""
    found = np.zeros((len(entries), SIDE * SIDE), np.float32)
    for row, entry in enumerate(entries):
        bits = from_hex(entry.fingerprint)
        if bits is not None:
            found[row] = np.where(bits, 1, -1)
    return found
