"""The interface of region features, which is the same for all formats on disk."""

from typing import NamedTuple, Protocol

import numpy as np


class RegionFeatures(NamedTuple):
    """Features of B photos."""

    regions: np.ndarray
    """(B, R, D) float32"""
    context: np.ndarray
    """(B, D) float32: the whole photo; (B, P) if it is the embedding of a dual encoder"""
    mask: np.ndarray
    """(B, R) bool: False for padding"""
    boxes: np.ndarray | None
    """(R, 4) if they are the same for all photos, otherwise (B, R, 4); float32, x0 y0 x1 y1 in
    0..1; None if unknown"""
    maps: np.ndarray | None = None
    """Input of the backbone's trained layers, if there are any: (B, C, h, w) or (B, tokens, D)
    float32; photos (B, size, size, 3) uint8 if all are trained"""


class Features(Protocol):
    """Features of many photos, read by row.

    Attributes:
        rows: the row of each photo, by its name in the caption file.
        skipped: photos that could not be read and have no row, with the reason.
        width: D, width of a feature.
        context_width: P, width of contexts that are embeddings of a dual encoder; 0 for those of
            width D.
        views: V, number of views of each photo; evaluation uses view 0.
        boxes: (R, 4) if all photos have the same regions, otherwise None.
    """

    rows: dict[str, int]
    skipped: dict[str, str]
    width: int
    context_width: int
    views: int
    boxes: np.ndarray | None

    def read(self, rows: np.ndarray, views: np.ndarray) -> RegionFeatures:
        """A copy of the features of the photos in these rows (B), of one view (B) each.

        Raises:
            DataError: a feature is not finite.
        """


PRECOMPUTED = "precomputed"
"""Name of the backbone for existing features in a folder in SCAN's format."""
