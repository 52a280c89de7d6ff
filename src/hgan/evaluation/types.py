"""What an evaluation gives: ranks, the figures of both directions, and the names of a record.

Without torch, so that reports can read it quickly.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

CUTOFFS = (1, 5, 10)
"""K of the recalls."""
DIRECTIONS = {"image_to_text": "image to text", "text_to_image": "text to image"}
"""Directions of retrieval: their names in records, and their titles."""
RECORD_VERSION = 1
"""Version of the format of `SPLIT.json` and `SPLIT.npz`."""


@dataclass(frozen=True)
class Ranks:
    """Ranks of the correct answers, from 0."""

    image_to_text: np.ndarray
    """(N) rank of each photo's best caption among the captions of other photos."""
    text_to_image: np.ndarray
    """(T) rank of each caption's photo."""
    tied: int
    """Queries for which a wrong answer has exactly the score of the correct one."""


@dataclass(frozen=True)
class Direction:
    """Figures for one direction of retrieval."""

    recall: dict[str, float]
    """R@1, R@5, R@10 in per cent."""
    median_rank: float
    """From 1, halves rounded down, as is usual; for folds, the mean of their median ranks."""
    mean_rank: float
    """From 1."""


@dataclass(frozen=True)
class Metrics:
    """Figures for both directions."""

    image_to_text: Direction
    text_to_image: Direction
    rsum: float
    """Sum of the six recalls, at most 600."""
    tied: int
    """Queries with a tie at the score of the correct answer; ties count against the model."""

    def recalls(self) -> dict[str, float]:
        """The six recalls in per cent, by direction and K, as `image to text R@1`."""
        return {
            f"{title} {name}": value
            for way, title in DIRECTIONS.items()
            for name, value in getattr(self, way).recall.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
