"""Recall at K, rSum, median and mean rank: what the field reports of a ranking."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np

from hgan.evaluation.ranking import Ranks

CUTOFFS = (1, 5, 10)


@dataclass(frozen=True)
class Direction:
    """Figures for one direction of retrieval."""

    recall: dict[str, float]
    """R@1, R@5, R@10 in per cent."""
    median_rank: float
    """Counted from 1, halves rounded down, as the field does; of folds, the mean of theirs."""
    mean_rank: float
    """Counted from 1."""


@dataclass(frozen=True)
class Metrics:
    """Figures for both directions."""

    image_to_text: Direction
    text_to_image: Direction
    rsum: float
    """Sum of the six recalls, at most 600."""
    tied: int
    """Queries with a tie at the right answer's score; ties count against the model."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def metrics(ranks: Ranks) -> Metrics:
    """Ranks, counted from 0, to the field's figures."""
    both = _direction(ranks.image_to_text), _direction(ranks.text_to_image)
    rsum = sum(sum(direction.recall.values()) for direction in both)
    return Metrics(*both, rsum=rsum, tied=ranks.tied)


def mean_metrics(folds: Sequence[Metrics]) -> Metrics:
    """The mean of each figure over the folds; `tied` is their sum, a count of queries still."""

    def mean(parts: Sequence[Direction]) -> Direction:
        return Direction(
            recall={name: fmean(part.recall[name] for part in parts) for name in parts[0].recall},
            median_rank=fmean(part.median_rank for part in parts),
            mean_rank=fmean(part.mean_rank for part in parts),
        )

    return Metrics(
        image_to_text=mean([fold.image_to_text for fold in folds]),
        text_to_image=mean([fold.text_to_image for fold in folds]),
        rsum=fmean(fold.rsum for fold in folds),
        tied=sum(fold.tied for fold in folds),
    )


def _direction(ranks: np.ndarray) -> Direction:
    return Direction(
        recall={f"R@{k}": 100.0 * float(np.mean(ranks < k)) for k in CUTOFFS},
        median_rank=int(np.floor(np.median(ranks))) + 1,
        mean_rank=float(np.mean(ranks)) + 1,
    )
