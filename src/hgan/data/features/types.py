"""The contract of features: what training and evaluation read, whatever the form on disk."""

from typing import NamedTuple, Protocol

import numpy as np


class RegionFeatures(NamedTuple):
    """Features of B photos."""

    regions: np.ndarray
    """(B, R, D) float32"""
    context: np.ndarray
    """(B, D) float32: the whole photo"""
    mask: np.ndarray
    """(B, R) bool: True where a region is real"""
    boxes: np.ndarray | None
    """(R, 4) for all photos or (B, R, 4), float32, x0 y0 x1 y1 in 0..1; None if unknown"""


class Features(Protocol):
    """Features of many photos, read by row.

    Attributes:
        rows: the row of each photo, by its name in the caption file.
        width: D.
        views: V, views of each photo; evaluation uses view 0.
        boxes: (R, 4) if all photos have the same regions, else None.
    """

    rows: dict[str, int]
    width: int
    views: int
    boxes: np.ndarray | None

    def read(self, rows: np.ndarray, views: np.ndarray) -> RegionFeatures:
        """A copy of the features of the photos in these rows (B), of one view (B) each.

        Raises:
            DataError: a feature is not finite.
        """


PRECOMPUTED = "precomputed"
"""Name of the backbone for features that exist already, in a folder in SCAN's format."""
