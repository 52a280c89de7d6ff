"""The three levels of similarity compared with plain loops, and their weighted sum."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hgan.encoded import LEVELS, Encoded
from hgan.model.hgan import (
    SIMILARITY,
    context_similarity,
    local_similarity,
    shared_similarity,
)
from hgan.model.matcher import combine
from hgan.runtime.similarity import score_levels
from tests.fixtures.networks import encoded

sizes = st.integers(1, 4)


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def naive_local(images: Encoded[Tensor], texts: Encoded[Tensor]) -> list[list[float]]:
    scores = []
    for i in range(len(images.mask)):
        regions = images.local[i][images.mask[i]]
        row = []
        for t in range(len(texts.mask)):
            words = texts.local[t][texts.mask[t]]
            best = [max(cosine(w, r) for r in regions) for w in words if len(regions)]
            row.append(sum(best) / len(best) if best else 0.0)
        scores.append(row)
    return scores


@given(sizes, sizes, st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_local_equals_a_loop_over_words_and_regions(
    photos: int, captions: int, regions: int, words: int, seed: int
) -> None:
    images, texts = encoded(photos, regions, seed), encoded(captions, words, seed + 1)
    expected = torch.tensor(naive_local(images, texts))
    torch.testing.assert_close(local_similarity(images, texts), expected, atol=1e-5, rtol=0)


@given(sizes, sizes, st.integers(0, 99))
def test_context_and_shared_equal_loops(photos: int, captions: int, seed: int) -> None:
    images, texts = encoded(photos, 2, seed), encoded(captions, 2, seed + 1)
    context, shared = context_similarity(images, texts), shared_similarity(images, texts)
    assert context.shape == shared.shape == (photos, captions)
    for i in range(photos):
        for t in range(captions):
            found = cosine(images.context[i], texts.context[t])
            assert float(context[i, t]) == pytest.approx(found, abs=1e-5)
            slots = zip(images.slots[i], texts.slots[t], strict=True)
            mean = sum(cosine(one, other) for one, other in slots) / 2
            assert float(shared[i, t]) == pytest.approx(mean, abs=1e-5)


def test_padding_does_not_beat_negative_similarities() -> None:
    """The word's best real region has a cosine of -1; a padded row of zeros would give 0."""
    one = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    none = torch.zeros(1, 0)
    images = Encoded(none, none[..., None], -one, torch.tensor([[True, False]]))
    texts = Encoded(none, none[..., None], one, torch.tensor([[True, False]]))
    assert local_similarity(images, texts).item() == -1.0


def test_a_caption_without_words_scores_zero_with_a_finite_gradient() -> None:
    images, texts = encoded(3, 4, full=True), encoded(2, 4, seed=1)
    texts.mask[0] = False
    images.local.requires_grad_()
    scores = local_similarity(images, texts)
    assert torch.equal(scores[:, 0], torch.zeros(3))
    scores.sum().backward()
    assert torch.isfinite(images.local.grad).all()
    texts.mask[:] = False
    assert torch.equal(local_similarity(images, texts), torch.zeros(3, 2))


def test_s_is_the_weighted_sum_of_levels() -> None:
    levels = {"context": torch.randn(2, 3), "local": torch.randn(2, 3)}
    expected = 0.3 * levels["context"] + 0.7 * levels["local"]
    torch.testing.assert_close(combine(levels, {"context": 0.3, "local": 0.7}), expected)


def as_numpy(items: Encoded[Tensor]) -> Encoded[np.ndarray]:
    return Encoded(*(x.numpy() for x in (items.context, items.slots, items.local, items.mask)))


@given(sizes, sizes, st.integers(0, 5), st.integers(0, 5), st.integers(0, 99))
def test_torch_and_the_runtime_score_the_same(
    photos: int, captions: int, regions: int, words: int, seed: int
) -> None:
    """All levels and S, with photos without regions and captions without words among them."""
    images, texts = encoded(photos, regions, seed), encoded(captions, words, seed + 1)
    images.mask[0] = texts.mask[0] = False
    weights = {"context": 0.3, "shared": 0.2, "local": 0.5}
    expected = score_levels(as_numpy(images), as_numpy(texts), weights)
    levels = {name: SIMILARITY[name](images, texts) for name in LEVELS}
    for name, scores in levels.items():
        np.testing.assert_allclose(scores, expected.levels[name], atol=1e-6, err_msg=name)
    np.testing.assert_allclose(combine(levels, weights), expected.total, atol=1e-6)


def test_a_photo_without_regions_scores_zero_with_a_finite_gradient() -> None:
    images, texts = encoded(3, 4, full=True), encoded(2, 4, seed=1, full=True)
    images.mask[1] = False
    images.local.requires_grad_()
    scores = local_similarity(images, texts)
    assert torch.equal(scores[1], torch.zeros(2)) and scores[0].abs().min() > 0
    scores.sum().backward()
    assert torch.isfinite(images.local.grad).all()
