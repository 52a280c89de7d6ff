"""Evaluate a matcher on a split, for each level and for S, and choose the level weights of S."""

import itertools
from collections.abc import Iterator, Sequence

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

WEIGHT_STEPS = 10
"""Level weights are multiples of 1 / WEIGHT_STEPS."""


def evaluate(model: Matcher, data: Dataset) -> dict[str, Metrics]:
    """Metrics of each level and, if there are several, of S."""
    scores = Scores([Member(model, *encode(model, data))])
    ranks = rank(scores, data.captions.image_of, len(data.rows))
    return {name: metrics(found) for name, found in ranks.items()}


@torch.inference_mode()
def choose_weights(model: Matcher, data: Dataset) -> tuple[dict[str, float], dict[str, Metrics]]:
    """Find the level weights (multiples of 0.1 that sum to 1) with the highest rSum on validation.

    The score matrices of all levels are kept in memory.

    Returns:
        The weights, and the metrics of each level and, if there are several, of S.

    Raises:
        ConfigError: the data are not exactly the validation split.
    """
    if (found := set(data.captions.splits)) != {"val"}:
        names = ", ".join(sorted(split or "(none)" for split in found))
        raise ConfigError(
            "level weights must be chosen on the validation split, but these photos are in split "
            f"{names}, not val"
        )
    member = Member(model, *encode(model, data))
    count = len(data.rows), len(data.captions.texts)
    scores: dict[str, Tensor] = {name: torch.empty(count) for name in model.level_names}
    for rows, columns in tiles(*count, TILE):
        for name, tile in member.levels(rows, columns).items():
            scores[name][rows, columns] = tile

    def measure(matrices: dict[str, Tensor]) -> dict[str, Metrics]:
        found = rank(
            lambda rows, columns: {name: m[rows, columns] for name, m in matrices.items()},
            data.captions.image_of,
            count[0],
            count,
        )
        return {name: metrics(ranks) for name, ranks in found.items()}

    levels = measure(scores)
    if len(scores) == 1:
        return dict.fromkeys(scores, 1.0), levels
    tried = [(w, measure({TOTAL: combine(scores, w)})) for w in _simplex(model.level_names)]
    weights, best = max(tried, key=lambda pair: pair[1][TOTAL].rsum)
    return weights, levels | best


def _simplex(names: Sequence[str]) -> Iterator[dict[str, float]]:
    """All combinations of positive multiples of 0.1 that sum to 1."""
    for parts in itertools.product(range(1, WEIGHT_STEPS + 1), repeat=len(names)):
        if sum(parts) == WEIGHT_STEPS:
            yield {name: part / WEIGHT_STEPS for name, part in zip(names, parts, strict=True)}
