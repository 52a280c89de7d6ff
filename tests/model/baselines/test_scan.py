"""SCAN compared with loops that follow the paper pair by pair, and make every attended vector."""

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hgan.encoded import Encoded
from hgan.model.baselines.attention import attention
from hgan.model.baselines.scan import SCAN, SCANConfig
from tests.fixtures.networks import WIDTH, captions, encoded, photos, text_encoder

Way = Literal["t2i", "i2t"]
Aggregation = Literal["mean", "lse"]
sizes = st.integers(1, 4)
both_ways = pytest.mark.parametrize("way", ["t2i", "i2t"])


def network(way: Way = "t2i", aggregation: Aggregation = "mean", leak: float = 0.0) -> SCAN:
    torch.manual_seed(2)
    config = SCANConfig(width=20, attention=way, aggregation=aggregation, leak=leak)
    return SCAN(config, WIDTH, text_encoder()).eval()


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return a @ b / (a.norm() * b.norm())


def naive_pair(
    queries: Tensor,
    keys: Tensor,
    inverse_temperature: float,
    summing: float,
    aggregation: Aggregation,
    leak: float = 0.0,
) -> Tensor:
    """Equations 1 to 6 for the real rows of one pair."""
    if not len(queries) or not len(keys):
        return torch.tensor(0.0)
    cosines = torch.stack([torch.stack([cosine(q, k) for k in keys]) for q in queries])
    above = torch.where(cosines > 0, cosines, leak * cosines)
    lengths = [above[:, j].norm() for j in range(len(keys))]
    relevances = []
    for i, query in enumerate(queries):
        shares = [a / length if length else a for a, length in zip(above[i], lengths, strict=True)]
        weights = [(inverse_temperature * share).exp() for share in shares]
        attended = sum(w * k for w, k in zip(weights, keys, strict=True)) / sum(weights)
        relevances.append(cosine(query, attended))
    if aggregation == "mean":
        return torch.stack(relevances).mean()
    return torch.stack([(summing * r).exp() for r in relevances]).sum().log() / summing


def naive(net: SCAN, images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
    rows, leak = [], net.config.leak
    for regions, real in zip(images.local, images.mask, strict=True):
        for words, said in zip(texts.local, texts.mask, strict=True):
            pair = words[said], regions[real]
            if net.config.attention == "t2i":
                rows.append(naive_pair(*pair, 9.0, 6.0, net.config.aggregation, leak))
            else:
                rows.append(naive_pair(*reversed(pair), 4.0, 5.0, net.config.aggregation, leak))
    return torch.stack(rows).view(len(images.mask), len(texts.mask))


@pytest.mark.parametrize("aggregation", ["mean", "lse"])
@both_ways
@settings(max_examples=40)
@given(
    sizes, sizes, st.integers(1, 5), st.integers(1, 5), st.integers(0, 99),
    st.sampled_from([0.0, 0.1]),
)  # fmt: skip
def test_equals_a_loop_over_pairs_for_any_mask(
    way: Way, aggregation: Aggregation, b: int, t: int, regions: int, words: int, seed: int,
    leak: float,
) -> None:  # fmt: skip
    net = network(way, aggregation, leak)
    images, texts = encoded(b, regions, seed, full=True), encoded(t, words, seed + 1, full=True)
    found = net.levels(images, texts)["local"]
    torch.testing.assert_close(found, naive(net, images, texts), atol=1e-4, rtol=0)


def test_attention_of_a_case_by_hand() -> None:
    """Two words, two regions: shares (1, 0) and (0.6, 0.8); a negative cosine counts as none."""
    cosine = torch.tensor([[0.3, -0.5], [0.6, 0.8]])[None, :, None]  # regions, words
    found = attention(cosine, -1, 9.0, leak=0.0)[0, :, 0]
    expected = torch.tensor([[9 * 1.0, 9 * 0.0], [9 * 0.6, 9 * 0.8]]).softmax(0)
    torch.testing.assert_close(found / found.sum(0), expected)


@pytest.mark.parametrize("aggregation", ["mean", "lse"])
@both_ways
def test_gradients_equal_those_of_the_loop(way: Way, aggregation: Aggregation) -> None:
    """The attended vectors are never made, but the gradient passes through them."""
    net, images, texts = network(way, aggregation), encoded(3, 4, 5), encoded(3, 5, 6)
    images.mask[:, 0] = texts.mask[:, 0] = True
    rng = torch.Generator().manual_seed(0)
    inputs = [torch.randn(x.local.shape, generator=rng).requires_grad_() for x in (images, texts)]
    weight = torch.randn(3, 3, generator=rng)
    # The rows are units by contract, so only gradients along the sphere are told apart.
    images, texts = (
        replace(x, local=F.normalize(raw, dim=-1) * x.mask[..., None])
        for x, raw in zip((images, texts), inputs, strict=True)
    )
    scores = net.levels(images, texts)["local"], naive(net, images, texts)
    losses = [(score * weight).sum() for score in scores]
    found, expected = (torch.autograd.grad(loss, inputs, retain_graph=True) for loss in losses)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("aggregation", ["mean", "lse"])
@both_ways
def test_nothing_to_attend_with_or_to_scores_zero_with_finite_gradients(
    way: Way, aggregation: Aggregation
) -> None:
    images, texts = encoded(3, 4, full=True), encoded(2, 4, seed=1, full=True)
    images.mask[0], texts.mask[0] = False, False
    images.local[0], texts.local[0] = 0.0, 0.0
    images.local.requires_grad_()
    texts.local.requires_grad_()
    scores = network(way, aggregation).levels(images, texts)["local"]
    assert torch.isfinite(scores).all()
    assert torch.equal(scores[0, 0], torch.tensor(0.0))
    queries = scores[:, 0] if way == "t2i" else scores[0]
    assert torch.equal(queries, torch.zeros_like(queries))
    scores.sum().backward()
    assert torch.isfinite(images.local.grad).all() and torch.isfinite(texts.local.grad).all()


@both_ways
def test_a_sum_of_large_exponentials_does_not_overflow(way: Way) -> None:
    """exp(6 x 50) is over what float32 holds; the logarithm of the sum is 50 and a little."""
    net, relevances = network(way, "lse"), torch.full((1, 1, 5), 50.0)
    found = net._aggregate(relevances, torch.ones_like(relevances, dtype=torch.bool), -1)
    inverse_temperature = {"t2i": 6.0, "i2t": 5.0}[way]
    assert found.item() == pytest.approx(50.0 + math.log(5) / inverse_temperature)


def test_regions_that_cancel_each_other_have_a_finite_relevance() -> None:
    """The attended vector is zero but for rounding, which may make its square negative."""
    rng, net = torch.Generator().manual_seed(0), network("t2i")
    for _ in range(50):
        row = F.normalize(torch.randn(9, generator=rng), dim=0)
        query = torch.randn(9, generator=rng)
        query = F.normalize(query - (query @ row) * row, dim=0)
        keys = torch.stack([row, -row])[None].requires_grad_()
        real = torch.ones(1, 2, dtype=torch.bool)
        none = torch.zeros(1, 0)
        texts = Encoded(none, none[..., None], query[None, None], real[:, :1])
        images = Encoded(none, none[..., None], keys, real)
        found = net.compare(images, texts)["local"]
        found.sum().backward()
        assert found.abs() < 1.01 and torch.isfinite(keys.grad).all()


def test_captions_without_any_word_score_zero() -> None:
    images, texts = encoded(3, 4, full=True), encoded(2, 4, seed=1)
    texts.mask[:] = False
    for way in ("t2i", "i2t"):
        for aggregation in ("mean", "lse"):
            scores = network(way, aggregation).levels(images, texts)["local"]
            assert torch.isfinite(scores).all() and scores.shape == (3, 2)


def test_local_rows_are_units_and_zero_in_padding() -> None:
    net = network()
    for found in (net.encode_image(photos()), net.encode_text(captions())):
        torch.testing.assert_close(found.local.norm(dim=-1), found.mask.float())
        assert found.context.shape[1] == found.slots.numel() == 0
