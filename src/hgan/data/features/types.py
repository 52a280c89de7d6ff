"""What features of photos are, wherever they lie: what training and evaluation read."""

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
    """(R, 4) of all photos or (B, R, 4) of each, float32, x0 y0 x1 y1 in 0..1; None: not known"""


class Features(Protocol):
    """Features of many photos, read by row.

    Attributes:
        rows: the row of each photo, by its name in the caption file.
        width: D.
        views: V, views of each photo; view 0 is the one that evaluation reads.
        boxes: (R, 4) where all photos have the same regions, else None.
    """

    rows: dict[str, int]
    width: int
    views: int
    boxes: np.ndarray | None

    def read(self, rows: np.ndarray, views: np.ndarray) -> RegionFeatures:
        """Features of the photos in these rows (B), of a view (B) each; copies, never the source.

        Raises:
            DataError: a feature is not finite.
        """


PRECOMPUTED = "precomputed"
"""The backbone of features that come ready, in a folder in SCAN's format."""
