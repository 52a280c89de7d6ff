"""The vectorised scores compared with plain loops, and what must not change them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgan.encoded import Encoded
from hgan.runtime.similarity import (
    dense,
    dense_levels,
    dense_width,
    score_levels,
)

WEIGHTS = {"context": 0.5, "shared": 0.3, "local": 0.2}


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def items(seed: int, n: int, length: int, widths: tuple[int, int, int, int]) -> Encoded[np.ndarray]:
    """Random items; each has at least one real row, and the others hold rubbish."""
    rng = np.random.default_rng(seed)
    context, slots, slot, local = widths
    mask = rng.random((n, length)) < 0.6
    mask[np.arange(n), rng.integers(0, length, n)] = True
    return Encoded(
        unit(rng.normal(size=(n, context))).astype(np.float32),
        unit(rng.normal(size=(n, slots, slot))).astype(np.float32),
        unit(rng.normal(size=(n, length, local))).astype(np.float32),
        mask,
    )


def naive(
    photos: Encoded[np.ndarray], queries: Encoded[np.ndarray], weights: dict[str, float]
) -> np.ndarray:
    total = np.zeros((len(photos.context), len(queries.context)))
    for p in range(total.shape[0]):
        for q in range(total.shape[1]):
            if weights["context"]:
                total[p, q] += weights["context"] * float(queries.context[q] @ photos.context[p])
            if weights["shared"]:
                cosines = [
                    float(a @ b) for a, b in zip(queries.slots[q], photos.slots[p], strict=True)
                ]
                total[p, q] += weights["shared"] * sum(cosines) / len(cosines)
            if weights["local"]:
                best = [
                    max(
                        float(word @ region)
                        for region, real in zip(photos.local[p], photos.mask[p], strict=True)
                        if real
                    )
                    for word, real in zip(queries.local[q], queries.mask[q], strict=True)
                    if real
                ]
                total[p, q] += weights["local"] * sum(best) / len(best)
    return total


shapes = st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
seeds = st.integers(0, 2**32 - 1)
subsets = st.sampled_from(
    [
        WEIGHTS,
        {"context": 1.0, "shared": 0.0, "local": 0.0},
        {"context": 0.0, "shared": 1.0, "local": 0.0},
        {"context": 0.0, "shared": 0.0, "local": 1.0},
        {"context": 0.4, "shared": 0.0, "local": 0.6},
    ]
)


@settings(deadline=None, max_examples=60)
@given(seeds, shapes, st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), subsets)
def test_equals_plain_loops(seed, widths, q, n, length, weights):
    queries, photos = items(seed, q, 4, widths), items(seed + 1, n, length, widths)
    scores = score_levels(photos, queries, weights)
    assert scores.total.shape == (n, q)
    assert scores.total.dtype == np.float32
    assert set(scores.levels) == {name for name, weight in weights.items() if weight}
    np.testing.assert_allclose(scores.total, naive(photos, queries, weights), atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(seeds, shapes, st.integers(1, 4))
def test_padding_never_leaks(seed, widths, extra):
    queries, photos = items(seed, 2, 3, widths), items(seed + 1, 3, 4, widths)

    def padded(encoded: Encoded[np.ndarray]) -> Encoded[np.ndarray]:
        n, _, width = encoded.local.shape
        # Large rows, that would win every maximum.
        rubbish = np.full((n, extra, width), 9.0, np.float32)
        return replace(
            encoded,
            local=np.concatenate([encoded.local, rubbish], axis=1),
            mask=np.concatenate([encoded.mask, np.zeros((n, extra), bool)], axis=1),
        )

    expected = score_levels(photos, queries, WEIGHTS).total
    found = score_levels(padded(photos), padded(queries), WEIGHTS).total
    np.testing.assert_allclose(found, expected, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(seeds, shapes)
def test_order_of_regions_and_words_is_nothing(seed, widths):
    queries, photos = items(seed, 2, 5, widths), items(seed + 1, 3, 6, widths)

    def shuffled(encoded: Encoded[np.ndarray]) -> Encoded[np.ndarray]:
        order = np.random.default_rng(seed).permutation(encoded.mask.shape[1])
        return replace(encoded, local=encoded.local[:, order], mask=encoded.mask[:, order])

    np.testing.assert_allclose(
        score_levels(shuffled(photos), shuffled(queries), WEIGHTS).total,
        score_levels(photos, queries, WEIGHTS).total,
        atol=1e-6,
    )


@settings(deadline=None, max_examples=40)
@given(seeds, shapes)
def test_a_batch_is_its_items_one_by_one(seed, widths):
    queries, photos = items(seed, 3, 5, widths), items(seed + 1, 4, 6, widths)

    def only(encoded: Encoded[np.ndarray], row: int) -> Encoded[np.ndarray]:
        part = slice(row, row + 1)
        return Encoded(
            encoded.context[part], encoded.slots[part], encoded.local[part], encoded.mask[part]
        )

    together = score_levels(photos, queries, WEIGHTS).total
    for q in range(3):
        for p in range(4):
            alone = score_levels(only(photos, p), only(queries, q), WEIGHTS).total
            np.testing.assert_allclose(alone, together[p : p + 1, q : q + 1], atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(seeds, shapes)
def test_float16_scores_like_float32(seed, widths):
    queries, photos = items(seed, 2, 5, widths), items(seed + 1, 3, 6, widths)

    def half(encoded: Encoded[np.ndarray]) -> Encoded[np.ndarray]:
        return Encoded(
            encoded.context.astype(np.float16),
            encoded.slots.astype(np.float16),
            encoded.local.astype(np.float16),
            encoded.mask,
        )

    found = score_levels(half(photos), half(queries), WEIGHTS).total
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, score_levels(photos, queries, WEIGHTS).total, atol=3e-3)
    assert dense(half(queries), WEIGHTS).dtype == np.float32


@settings(deadline=None, max_examples=40)
@given(seeds, shapes, subsets)
def test_one_inner_product_carries_context_and_slots(seed, shape, weights):
    queries, photos = items(seed, 2, 3, shape), items(seed + 1, 4, 3, shape)
    widths = dict(zip(("context", "slots", "slot", "local"), shape, strict=True))
    a, b = dense(queries, weights), dense(photos, weights)
    assert a.shape == (2, dense_width(widths, weights))
    scores = score_levels(photos, queries, weights)
    expected = sum(
        (weights[name] * scores.levels[name] for name in ("context", "shared") if weights[name]),
        start=np.zeros((4, 2)),
    )
    np.testing.assert_allclose(b @ a.T, expected, atol=1e-5)
    for row in range(2):
        for name, values in dense_levels(b, a[row], widths, weights).items():
            np.testing.assert_allclose(values, scores.levels[name][:, row], atol=1e-5)


def test_levels_of_zero_width():
    queries, photos = items(1, 2, 3, (4, 0, 0, 0)), items(2, 3, 3, (4, 0, 0, 0))
    weights = {"context": 1.0, "shared": 0.0, "local": 0.0}
    total = score_levels(photos, queries, weights).total
    np.testing.assert_allclose(total, photos.context @ queries.context.T, atol=1e-6)


@pytest.mark.parametrize("side", ["query", "photo"])
def test_nothing_real_scores_zero_not_nan(side):
    queries, photos = items(1, 1, 3, (4, 2, 2, 4)), items(2, 2, 3, (4, 2, 2, 4))
    if side == "query":
        queries = replace(queries, mask=np.zeros_like(queries.mask))
        expected = [0, 0]
    else:
        level = score_levels(photos, queries, WEIGHTS).levels["local"]
        photos.mask[1] = False
        expected = [level[0, 0], 0]
    local = score_levels(photos, queries, WEIGHTS).levels["local"]
    np.testing.assert_allclose(local[:, 0], expected, atol=1e-6)


def test_no_photos_at_all():
    queries, photos = items(1, 2, 3, (4, 2, 2, 4)), items(2, 1, 3, (4, 2, 2, 4))
    none = Encoded(photos.context[:0], photos.slots[:0], photos.local[:0], photos.mask[:0])
    assert score_levels(none, queries, WEIGHTS).total.shape == (0, 2)
