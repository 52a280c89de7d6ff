"""Mean and standard deviation over seeds, and paired bootstrap intervals for differences."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hgan.evaluation.types import CUTOFFS

RESAMPLES = 2000
SEED = 0
_AT_ONCE = 200
"""Number of resamples drawn at once, to limit memory."""


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of a value over seeds."""

    mean: float
    deviation: float | None
    """Sample standard deviation (with n - 1); None for one seed."""

    def __str__(self) -> str:
        more = "" if self.deviation is None else f" ± {self.deviation:.1f}"
        return f"{self.mean:.1f}{more}"


def spread(values: Sequence[float]) -> Spread:
    """Compute mean and standard deviation over seeds."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation)


class Ranked(Protocol):
    """The evaluation of a system with one seed, such as a `Record`."""

    @property
    def final_ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """Ranks, from 0, of the photos' best captions (N) and of the captions' photos (T)."""


@dataclass(frozen=True)
class Difference:
    """The rSum of one system minus that of another."""

    mean: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""


def paired_difference(
    ours: Sequence[Ranked],
    theirs: Sequence[Ranked],
    image_of: np.ndarray,
    resamples: int = RESAMPLES,
) -> Difference:
    """Difference in rSum, averaged over the seeds of each system, with a bootstrap interval.

    It is a cluster bootstrap: photos are drawn with replacement, together with all their captions,
    since the captions of a photo are correlated. Both systems and all seeds use the same draws.
    Only the queries are drawn; candidates, and therefore ranks, do not change.

    Args:
        ours: records of one system.
        theirs: records of the other system, on the same split.
        image_of: (T) the photo of each caption.
        resamples: number of draws.
    """
    photos = len(ours[0].final_ranks[0])
    captions_of = np.bincount(image_of, minlength=photos).astype(np.float64)
    ours_image, ours_text = _points(ours, image_of, photos)
    theirs_image, theirs_text = _points(theirs, image_of, photos)
    image, text = ours_image - theirs_image, ours_text - theirs_text  # (N) each
    rng = np.random.default_rng(SEED)
    drawn = []
    for start in range(0, resamples, _AT_ONCE):
        count = min(_AT_ONCE, resamples - start)
        # (resamples, N): how often each photo is drawn
        times = rng.multinomial(photos, np.full(photos, 1 / photos), count).astype(np.float64)
        drawn.append(times @ image / photos + times @ text / (times @ captions_of))
    low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975])
    mean = image.sum() / photos + text.sum() / captions_of.sum()
    return Difference(float(mean), float(low), float(high))


def _points(
    records: Sequence[Ranked], image_of: np.ndarray, photos: int
) -> tuple[np.ndarray, np.ndarray]:
    """Contribution of each photo to rSum before division, as a query (N) and by its captions (N).

    rSum is linear in these values, so they can be averaged over seeds before the bootstrap.
    """
    ranks = [record.final_ranks for record in records]
    image = np.mean([_hits(of_images) for of_images, _ in ranks], axis=0)
    text = np.mean([_hits(of_texts) for _, of_texts in ranks], axis=0)  # (T)
    return image, np.bincount(image_of, weights=text, minlength=photos)


def _hits(ranks: np.ndarray) -> np.ndarray:
    """Contributions to rSum (Q) from ranks (Q): 100 for each cutoff above the rank."""
    return 100.0 * (ranks[:, None] < np.array(CUTOFFS)).sum(axis=1)
