"""Compute recall at K, rSum, median and mean rank from ranks."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from hgan.evaluation.types import CUTOFFS, Direction, Metrics, Ranks


def metrics(ranks: Ranks) -> Metrics:
    """The metrics of ranks, which start at 0."""
    both = _direction(ranks.image_to_text), _direction(ranks.text_to_image)
    rsum = sum(sum(direction.recall.values()) for direction in both)
    return Metrics(*both, rsum=rsum, tied=ranks.tied)


def mean_metrics(folds: Sequence[Metrics]) -> Metrics:
    """The mean of each metric over folds; `tied` is a number of queries, so it is summed."""

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


def recall(ranks: np.ndarray, cutoff: int) -> float:
    """Recall at a cutoff in per cent, from ranks (Q) that start at 0."""
    return 100.0 * float(np.mean(ranks < cutoff))


def _direction(ranks: np.ndarray) -> Direction:
    return Direction(
        recall={f"R@{k}": recall(ranks, k) for k in CUTOFFS},
        median_rank=int(np.floor(np.median(ranks))) + 1,
        mean_rank=float(np.mean(ranks)) + 1,
    )
