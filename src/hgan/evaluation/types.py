"""The result types of an evaluation: ranks, the metrics of both directions, and names in records.

This module does not import torch, so that reports start quickly.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

CUTOFFS = (1, 5, 10)
"""Values of K for recall at K."""
DIRECTIONS = {"image_to_text": "image to text", "text_to_image": "text to image"}
"""Directions of retrieval: their keys in records, and their names for display."""
RECORD_VERSION = 1
"""Format version of `SPLIT.json` and `SPLIT.npz`."""


@dataclass(frozen=True)
class Ranks:
    """Ranks of the correct answers, starting at 0."""

    image_to_text: np.ndarray
    """(N) rank of the best of each photo's own captions, among the captions of other photos."""
    text_to_image: np.ndarray
    """(T) rank of each caption's photo."""
    tied: int
    """Number of queries for which a wrong answer has the same score as the correct one."""


@dataclass(frozen=True)
class Direction:
    """Metrics of one direction of retrieval."""

    recall: dict[str, float]
    """R@1, R@5, R@10 in per cent."""
    median_rank: float
    """Median rank, starting at 1; halves are rounded down, as usual. For folds, the mean of their
    median ranks."""
    mean_rank: float
    """Mean rank, starting at 1."""


@dataclass(frozen=True)
class Metrics:
    """Metrics of both directions of retrieval."""

    image_to_text: Direction
    text_to_image: Direction
    rsum: float
    """Sum of the six recall values in per cent, at most 600."""
    tied: int
    """Number of queries for which a wrong answer has the same score as the correct one; such ties
    count against the model."""

    def recalls(self) -> dict[str, float]:
        """The six recall values in per cent, by names such as `image to text R@1`."""
        return {
            f"{title} {name}": value
            for way, title in DIRECTIONS.items()
            for name, value in getattr(self, way).recall.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """The metrics as JSON values."""
        return asdict(self)
