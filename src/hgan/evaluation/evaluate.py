"""Evaluate a matcher on a split: encode each photo and caption once, rank by level and by S."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from hgan.data.batching import Dataset
from hgan.encoded import Encoded
from hgan.evaluation.metrics import Metrics, metrics
from hgan.evaluation.ranking import TILE, rank, tiles
from hgan.model.encoding import concatenate, take
from hgan.model.matcher import Matcher
from hgan.model.similarity import combine

IMAGES_AT_ONCE = 128
TEXTS_AT_ONCE = 256
WEIGHT_STEPS = 10
"""Level weights are searched on a grid of tenths."""


@torch.inference_mode()
def encode(model: Matcher, data: Dataset) -> tuple[Encoded[Tensor], Encoded[Tensor]]:
    """Encode all photos (view 0) and all captions of a data set."""
    device = next(model.parameters()).device
    images = [
        model.encode_image(data.images(chunk).to(device))
        for chunk in _chunks(np.arange(len(data.rows)), IMAGES_AT_ONCE)
    ]
    # Captions of like length go together, so that little is padded.
    lengths = np.array([len(row) for row in data.tokens])
    order = np.argsort(lengths, kind="stable")
    texts = [
        model.encode_text(data.texts(chunk).to(device)) for chunk in _chunks(order, TEXTS_AT_ONCE)
    ]
    inverse = torch.from_numpy(np.argsort(order, kind="stable"))
    return concatenate(images), take(concatenate(texts), inverse)


def evaluate(model: Matcher, data: Dataset) -> dict[str, Metrics]:
    """Metrics of each level, and of S where there are several."""
    images, texts = encode(model, data)
    weights = model.weights

    @torch.inference_mode()
    def score(rows: slice, columns: slice) -> dict[str, Tensor]:
        levels = _levels(model, take(images, rows), take(texts, columns))
        return levels | ({"S": combine(levels, weights)} if len(levels) > 1 else {})

    ranks = rank(score, data.captions.image_of, len(data.rows))
    return {name: metrics(found) for name, found in ranks.items()}


@torch.inference_mode()
def choose_weights(model: Matcher, data: Dataset) -> tuple[dict[str, float], dict[str, Metrics]]:
    """The level weights, tenths that sum to one, with the highest rSum; for validation splits only.

    Holds a matrix of scores for each level in memory.

    Returns:
        The weights, and the metrics of each level and, where there are several, of S with them.
    """
    images, texts = encode(model, data)
    count = len(data.rows), len(data.captions.texts)
    scores: dict[str, Tensor] = {name: torch.empty(count) for name in model.level_names}
    for rows, columns in tiles(*count, TILE):
        for name, tile in _levels(model, take(images, rows), take(texts, columns)).items():
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
    tried = [(w, measure({"S": combine(scores, w)})) for w in _simplex(model.level_names)]
    weights, best = max(tried, key=lambda pair: pair[1]["S"].rsum)
    return weights, levels | best


def _levels(model: Matcher, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
    """Scores in float32 always: bfloat16 has so few digits that many of them would be ties."""
    with torch.autocast(images.context.device.type, enabled=False):
        return model.levels(images, texts)


def _simplex(names: Sequence[str]) -> Iterator[dict[str, float]]:
    """All weights in tenths that sum to one and leave no level out."""
    for parts in itertools.product(range(1, WEIGHT_STEPS + 1), repeat=len(names)):
        if sum(parts) == WEIGHT_STEPS:
            yield {name: part / WEIGHT_STEPS for name, part in zip(names, parts, strict=True)}


def _chunks(positions: np.ndarray, length: int) -> Iterator[np.ndarray]:
    return (positions[i : i + length] for i in range(0, len(positions), length))
