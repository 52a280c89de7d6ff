"""Evaluate a matcher on a split, for each level and for S, and choose the level weights of S."""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from hgan.data.batches.dataset import Dataset
from hgan.encoded import TOTAL
from hgan.errors import ConfigError
from hgan.evaluation.metrics import metrics
from hgan.evaluation.ranking import TILE, rank, tiles
from hgan.evaluation.scoring import Member, Scores, encode
from hgan.evaluation.types import Metrics
from hgan.model.matcher import Matcher, combine
from hgan.processes import ALONE, Processes

WEIGHT_STEPS = 10
"""Level weights are multiples of 1 / WEIGHT_STEPS."""
SMALL_WEIGHTS = (0.0, 0.01, 0.02, 0.05)
"""Further weights of optional levels, beside a level whose scores differ little, as cosines of
dual encoders do."""


def evaluate(model: Matcher, data: Dataset, processes: Processes = ALONE) -> dict[str, Metrics]:
    """Metrics of each level and, if there are several, of S; several processes share the work."""
    scores = Scores([Member(model, *encode(model, data, processes=processes))])
    ranks = rank(scores, data.captions.image_of, len(data.rows), processes=processes)
    return {name: metrics(found) for name, found in ranks.items()}


@torch.inference_mode()
def choose_weights(
    model: Matcher, *sets: Dataset, processes: Processes = ALONE
) -> tuple[dict[str, float], list[dict[str, Metrics]]]:
    """Find the level weights (multiples of 0.1 that sum to 1) with the highest rSum on validation.
    Weights of a matcher's optional levels can also be smaller, or zero.

    The score matrices of all levels are kept in memory.

    Args:
        model: the model.
        sets: the validation split, and possibly that of another data set; rSum is their mean.
        processes: the processes that share the work; all get the same results.

    Returns:
        The weights, and for each set the metrics of each level and, if there are several, of S.

    Raises:
        ConfigError: the data are not exactly validation splits.
    """
    for data in sets:
        if (found := set(data.captions.splits)) != {"val"}:
            names = ", ".join(sorted(split or "(none)" for split in found))
            raise ConfigError(
                "level weights must be chosen on the validation split, but these photos are in "
                f"split {names}, not val"
            )
    measured = [_LevelScores(model, data, processes) for data in sets]
    levels = [part.measure(lambda tile: tile) for part in measured]
    if len(model.level_names) == 1:
        return dict.fromkeys(model.level_names, 1.0), levels

    def total(weights: dict[str, float]) -> list[dict[str, Metrics]]:
        return [part.measure(lambda tile: {TOTAL: combine(tile, weights)}) for part in measured]

    tried = [(weights, total(weights)) for weights in _weights(model)]
    weights, best = max(tried, key=lambda pair: sum(found[TOTAL].rsum for found in pair[1]))
    return weights, [own | found for own, found in zip(levels, best, strict=True)]


class _LevelScores:
    """Score matrices (photos, captions) of all levels on one data set; of several processes, each
    has the rows of its tiles."""

    def __init__(self, model: Matcher, data: Dataset, processes: Processes) -> None:
        self._image_of, self._processes = data.captions.image_of, processes
        self._count = count = len(data.rows), len(data.captions.texts)
        member = Member(model, *encode(model, data, processes=processes))
        self._scores: dict[str, Tensor] = {name: torch.empty(count) for name in model.level_names}
        for rows, columns in tiles(*count, TILE, processes):
            for name, tile in member.levels(rows, columns).items():
                self._scores[name][rows, columns] = tile

    def measure(
        self, scored: Callable[[dict[str, Tensor]], dict[str, Tensor]]
    ) -> dict[str, Metrics]:
        """The metrics of what `scored` makes of the levels' scores, by name."""
        found = rank(
            lambda rows, columns: scored({n: m[rows, columns] for n, m in self._scores.items()}),
            self._image_of,
            self._count[0],
            (TILE[0], self._count[1]),
            processes=self._processes,
        )
        return {name: metrics(ranks) for name, ranks in found.items()}


def _weights(model: Matcher) -> list[dict[str, float]]:
    """All combinations of weights to try, which sum to 1. Optional levels can have small weights
    and none; the first level that is not optional has the rest. Of equally good combinations the
    first is chosen: with optional levels, that with the most weight for the other."""
    names, optional = model.level_names, model.optional_levels
    tenths = [step / WEIGHT_STEPS for step in range(1, WEIGHT_STEPS + 1)]
    rest = next(name for name in names if name not in optional)
    others = [name for name in names if name != rest]
    choices = [[*SMALL_WEIGHTS, *tenths] if name in optional else tenths for name in others]
    found = []
    for parts in itertools.product(*choices):
        weights = dict(zip(others, parts, strict=True))
        weights[rest] = round(1 - sum(parts), 6)
        if weights[rest] >= tenths[0]:
            found.append({name: weights[name] for name in names})
    if optional:
        return sorted(found, key=lambda weights: -weights[rest])
    return sorted(found, key=lambda weights: list(weights.values()))
