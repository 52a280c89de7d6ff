"""Fit the calibration of a bundle on validation photos; see `hgan.search.calibration`.

The background texts come from the training captions. The examples of the regression come from the
validation photos: the right hits among the first ten of a query that has an answer, and the first
hit of a query that has none. With several collections, each is searched alone, and all together: so
a thing that is in one and not in the other is an example of both kinds, and the regression cannot
take what is common in one collection for what is relevant.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hgan.data.captions.read import read_captions
from hgan.errors import ConfigError
from hgan.export.queries import (
    Collection,
    JudgedQuery,
    phrases,
    stem,
    things,
    with_answer,
    without_answer,
    words_of,
)
from hgan.progress import progress
from hgan.runtime.bundle import Bundle
from hgan.runtime.embeddings import Embeddings, concatenate
from hgan.runtime.similarity import score_levels
from hgan.search.calibration import (
    BEST,
    CLIP,
    QUANTITIES,
    SAMPLE,
    STRONG,
    Background,
    Calibration,
    Candidates,
    Regression,
    quantities,
)
from hgan.vision.efficientnet_lite import imagenet_classes

BACKGROUND = 600
"""Number of background phrases, and of background captions."""
VOCABULARY = 20_000
"""Largest number of words from captions."""
HITS = 10
"""Number of hits of a query that are judged."""
KEPT = 0.95
"""Share of the right hits that are fair, and of the queries without an answer that have no strong
hit."""
RIDGE = 0.05
"""Penalty of half the squared coefficients, beside the mean loss of the examples."""
FOLDS = 5
_STEPS = 30


class Found(NamedTuple):
    """What a calibration catches, measured by cross-validation over texts."""

    collection: str
    photos: int
    kept: float
    """Share of the right hits that are fair or strong."""
    caught: float
    """Share of the queries without an answer that have no fair hit."""
    queries: tuple[int, int]
    """Number of queries with an answer, and without."""


class _Examples(NamedTuple):
    measured: np.ndarray  # (N, n)
    right: np.ndarray  # (N,) bool
    texts: np.ndarray  # (N,) int, the same for examples of the same text
    collection: np.ndarray  # (N,) int


def calibrate(
    bundle: Bundle, sources: Sequence[tuple[Path, Path]], seed: int = 0
) -> tuple[Calibration, list[Found]]:
    """Fit a calibration.

    Args:
        bundle: the model.
        sources: caption files and their folders of photos. The first needs a train split, whose
            captions represent what the model learned from; all need a val split.
        seed: chooses queries and background texts.

    Returns:
        The calibration, and what it catches in each collection.

    Raises:
        ConfigError: the model has no context level, or there are too few queries.
        DataError: a caption file or a photo cannot be read, or a split is missing.
    """
    if not bundle.weights["context"]:
        raise ConfigError(f"{bundle.name}: only models with the level context can be calibrated")
    rng = np.random.default_rng(seed)
    read = [read_captions(captions) for captions, _ in sources]
    learned = Collection.of(read[0].split("train"))
    background, vocabulary = _background(bundle, learned, rng)
    parts = [captions.split("val") for captions in read]
    photos = [
        bundle.encode_image([folder / name for name in part.images], progress=True)
        for part, (_, folder) in zip(parts, sources, strict=True)
    ]
    collections = [Collection.of(part) for part in parts]
    examples, counts = _examples(bundle, collections, photos, background, rng)
    held_out = _held_out(examples, rng)
    low, high = _thresholds(held_out, examples.right)
    names = [str(captions) for captions, _ in sources] + ["all together"]
    found = [
        Found(
            names[row],
            count[0],
            float((held_out >= low)[(examples.collection == row) & examples.right].mean()),
            float((held_out < low)[(examples.collection == row) & ~examples.right].mean()),
            count[1:],
        )
        for row, count in enumerate(counts)
    ]
    fitted = _scaled(_fit(examples, np.ones(len(held_out), bool)), low, high)
    return Calibration(bundle.id, background, fitted, tuple(vocabulary)), found


def _background(
    bundle: Bundle, learned: Collection, rng: np.random.Generator
) -> tuple[Background, list[str]]:
    """The background texts, and the words of the training captions, most frequent first, then those
    of names of things."""
    common = [text for text, _ in phrases(learned, 1, 3).most_common(BACKGROUND)]
    rows = rng.permutation(len(learned.captions))[:BACKGROUND]
    captions = [learned.captions[row][0] for row in rows]
    counts = phrases(learned, 1, 1)
    named = (word for name in (*things(), *imagenet_classes()) for word in words_of(name))
    words = list(dict.fromkeys([*(word for word, _ in counts.most_common(VOCABULARY)), *named]))
    encoded = [bundle.encode_text(texts).context for texts in (common, captions)]
    return Background(*(context.astype(np.float32) for context in encoded)), words


def _examples(
    bundle: Bundle,
    collections: Sequence[Collection],
    photos: Sequence[Embeddings],
    background: Background,
    rng: np.random.Generator,
) -> tuple[_Examples, list[tuple[int, int, int]]]:
    """The examples, and for each collection its number of photos and of queries of both kinds."""
    asked = [with_answer(collection, rng) for collection in collections]
    concrete = {stem(word) for name in (*things(), *imagenet_classes()) for word in words_of(name)}
    everything = list(collections)
    if len(collections) > 1:
        everything.append(sum(collections[1:], collections[0]))
        asked.append([query for queries in asked for query in queries])
    rows: list[tuple[np.ndarray, bool, str, int]] = []
    counts = []
    for place, collection in enumerate(everything):
        alone = place < len(collections)
        part = photos[place] if alone else _together(photos)
        others = [q for other in range(len(collections)) if other != place for q in asked[other]]
        present = asked[place]
        if not alone:
            present = [JudgedQuery(query.text, collection.answers(query.text)) for query in present]
        absent = without_answer(collection, others if alone else (), concrete, rng)
        counts.append((len(collection.captions), len(present), len(absent)))
        for query, measured in _measured(bundle, [*present, *absent], part, background, rng):
            rows += [(row, bool(query.answers), query.text, place) for row in measured]
    return _as_arrays(rows), counts


def _together(photos: Sequence[Embeddings]) -> Embeddings:
    """The photos of all collections."""
    joined = concatenate(photos)
    arrays = {field.name: getattr(joined, field.name) for field in fields(joined)}
    return replace(photos[0], **arrays)


def _as_arrays(rows: Sequence[tuple[np.ndarray, bool, str, int]]) -> _Examples:
    measured, right, texts, collection = zip(*rows, strict=True)
    _, groups = np.unique(texts, return_inverse=True)
    return _Examples(np.stack(measured), np.array(right), groups, np.array(collection))


def _measured(
    bundle: Bundle,
    queries: Sequence[JudgedQuery],
    photos: Embeddings,
    background: Background,
    rng: np.random.Generator,
) -> "list[tuple[JudgedQuery, np.ndarray]]":
    """The quantities (h, n) of the hits of each query that are examples."""
    texts = bundle.encode_text([query.text for query in queries])
    contexts = photos.context.astype(np.float32)
    sample = contexts[rng.permutation(len(contexts))[:SAMPLE]]
    found = []
    with progress("relevance", len(queries), "queries") as bar:
        for row, query in enumerate(queries):
            scores = score_levels(photos, texts[row], bundle.weights).total[:, 0]
            order = np.argsort(-scores, kind="stable")
            hits = [hit for hit in order[:HITS] if hit in query.answers]
            hits = hits if query.answers else order[:1].tolist()
            candidates = Candidates(
                contexts[hits], scores[hits], float(scores[order[:BEST]].mean()), sample
            )
            words = int(texts.mask[row].sum())
            if hits:
                text = texts.context[row].astype(np.float32)
                found.append((query, quantities(text, words, candidates, background)))
            bar.advance()
    return found


def _fit(examples: _Examples, used: np.ndarray) -> Regression:
    """Fit the regression to some of the examples; its z is the logarithm of the odds."""
    measured, right = examples.measured[used].astype(np.float64), examples.right[used]
    if min(right.sum(), (~right).sum()) < 2 * len(QUANTITIES):
        raise ConfigError(
            f"{right.sum()} right hits and {(~right).sum()} queries without an answer are too few "
            f"to calibrate with; at least {2 * len(QUANTITIES)} of each are needed"
        )
    mean, scale = measured.mean(0), np.maximum(measured.std(0), 1e-6)
    upper = np.triu_indices(len(mean))
    x = _expand(np.clip((measured - mean) / scale, -CLIP, CLIP), upper)
    centre, spread = x.mean(0), np.maximum(x.std(0), 1e-6)
    weights = _weights(examples, used)
    offset, coefficients = _regress((x - centre) / spread, right, weights)
    coefficients = coefficients / spread
    offset -= coefficients @ centre
    products = np.zeros((len(mean), len(mean)))
    products[upper] = coefficients[len(mean) :]
    values = (mean, scale, np.array(offset), coefficients[: len(mean)], products)
    return Regression(*(value.astype(np.float32) for value in values))


def _thresholds(z: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """The z of `FAIR` and of `STRONG`."""
    low, high = np.quantile(z[right], 1 - KEPT), np.quantile(z[~right], KEPT)
    return float(low), float(max(high, low + 1e-3))


def _scaled(regression: Regression, low: float, high: float) -> Regression:
    """The regression with its z shifted and scaled to the thresholds."""
    gain = np.float32(np.log(STRONG / (1 - STRONG)) / (high - low))
    return regression._replace(
        offset=(regression.offset - np.float32(low)) * gain,
        linear=regression.linear * gain,
        products=regression.products * gain,
    )


def _expand(x: np.ndarray, upper: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The numbers, and their products: (N, n + n (n + 1) / 2)."""
    return np.concatenate([x, x[:, upper[0]] * x[:, upper[1]]], axis=1)


def _weights(examples: _Examples, used: np.ndarray) -> np.ndarray:
    """Weights with which each collection and both kinds of examples count the same, and each text
    of them."""
    weights = np.zeros(used.sum())
    for place in np.unique(examples.collection):
        for right in (False, True):
            rows = (examples.collection[used] == place) & (examples.right[used] == right)
            if rows.any():
                texts = examples.texts[used][rows]
                weight = 1 / np.bincount(texts)[texts]
                weights[rows] = weight / weight.sum()
    return weights * len(weights) / weights.sum()


def _regress(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Offset and coefficients of a logistic regression with a penalty, by Newton's method."""
    design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    penalty = np.full(design.shape[1], RIDGE * weights.sum())
    penalty[-1] = 0
    theta = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-design @ theta))
        gradient = design.T @ (weights * (p - y)) + penalty * theta
        curvature = (design.T * (weights * p * (1 - p))) @ design + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curvature, gradient)
        theta -= step
        if np.abs(step).max() < 1e-8:
            break
    return float(theta[-1]), theta[:-1]


def _held_out(examples: _Examples, rng: np.random.Generator) -> np.ndarray:
    """z (N,) of each example by a regression that has not seen its text."""
    fold = rng.integers(0, FOLDS, examples.texts.max() + 1)[examples.texts]
    z = np.zeros(len(fold))
    for number in range(FOLDS):
        held = fold == number
        z[held] = _fit(examples, ~held).z(examples.measured[held])
    return z
