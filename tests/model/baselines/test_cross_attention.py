"""The fast scores and gradients of SCAN and SGRAF are those of plain code, whatever the masks, the
blocks, the order, and the pairs that the loss reaches."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hgan.encoded import Encoded
from hgan.model.baselines import pairs, scan, sgraf, similarity
from hgan.model.baselines.blocks import Size, blocks, pack
from hgan.model.baselines.scan import SCAN, SCANConfig
from hgan.model.baselines.sgraf import SGRAF, SGRAFConfig
from hgan.model.encoding import take
from hgan.model.matcher import Matcher
from tests.fixtures.cross_attention import plain_scores
from tests.fixtures.networks import WIDTH, encoded, text_encoder

D = 6
TEXT = text_encoder()
KINDS: dict[str, dict[str, Any]] = {
    "t2i mean": {"attention": "t2i", "aggregation": "mean"},
    "t2i lse": {"attention": "t2i", "aggregation": "lse", "leak": 0.1},
    "i2t mean": {"attention": "i2t", "aggregation": "mean", "leak": 0.1},
    "i2t lse": {"attention": "i2t", "aggregation": "lse"},
    "sgr": {"reasoning": "sgr", "leak": 0.1},
    "saf": {"reasoning": "saf"},
    "saf, batch norm": {"reasoning": "saf", "batch_norm": True},
}
kinds = pytest.mark.parametrize("kind", KINDS)
sizes = st.integers(1, 7)


def network(kind: str) -> Matcher:
    torch.manual_seed(2)
    if "reasoning" in KINDS[kind]:
        return SGRAF(SGRAFConfig(width=D, similarity_width=5, **KINDS[kind]), WIDTH, TEXT).eval()
    return SCAN(SCANConfig(width=D, **KINDS[kind]), WIDTH, TEXT).eval()


def items(count: int, rows: int, seed: int) -> Encoded[Tensor]:
    """Items whose contexts are as wide as their rows; some have no row at all."""
    made = encoded(count, rows, seed, width=D)
    return replace(made, context=encoded(count, 1, seed + 50, full=True, width=D).local[:, 0])


def leaves(x: Encoded[Tensor]) -> Encoded[Tensor]:
    """The same items as leaves, so that their gradients can be asked for."""
    return replace(
        x, context=x.context.clone().requires_grad_(), local=x.local.clone().requires_grad_()
    )


def gradients(
    net: Matcher, images: Encoded[Tensor], texts: Encoded[Tensor], weights: Tensor, plain: bool
) -> list[Tensor]:
    """Gradients of all inputs and parameters, of the weighted sum of the scores; zero for padding,
    which gets a gradient from plain code but does not pass it on."""
    images, texts = leaves(images), leaves(texts)
    scores = plain_scores(net, images, texts) if plain else fast_scores(net, images, texts)
    inputs = [images.context, images.local, texts.context, texts.local]
    inputs += [p for name, p in net.named_parameters() if name.startswith(("compare", "reas"))]
    found = torch.autograd.grad(
        (scores * weights).sum(), inputs, allow_unused=True, materialize_grads=True
    )
    masks = {1: images.mask, 3: texts.mask}
    return [g * masks[k][..., None] if k in masks else g for k, g in enumerate(found)]


def fast_scores(net: Matcher, images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
    return next(iter(net.levels(images, texts).values()))


@kinds
@settings(max_examples=15)
@given(sizes, sizes, st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_scores_are_those_of_plain_code_for_any_mask(
    kind: str, b: int, t: int, regions: int, words: int, seed: int
) -> None:
    net, images, texts = network(kind), items(b, regions, seed), items(t, words, seed + 1)
    expected = plain_scores(net, images, texts)
    torch.testing.assert_close(fast_scores(net, images, texts), expected, atol=1e-5, rtol=0)
    with torch.no_grad():
        found = fast_scores(net, images, texts)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@kinds
@settings(max_examples=15)
@given(sizes, sizes, st.integers(1, 5), st.floats(0, 1), st.integers(0, 99))
def test_gradients_are_those_of_plain_code_for_any_pairs_that_the_loss_reaches(
    kind: str, b: int, t: int, rows: int, reached: float, seed: int
) -> None:
    net, images, texts = network(kind), items(b, 4, seed), items(t, rows, seed + 1)
    rng = torch.Generator().manual_seed(seed)
    weights = torch.randn(b, t, generator=rng) * (torch.rand(b, t, generator=rng) < reached)
    expected = gradients(net, images, texts, weights, plain=True)
    found = gradients(net, images, texts, weights, plain=False)
    # Rounding errors are those of the largest terms of a sum, which can cancel each other.
    for one, other in zip(found, expected, strict=True):
        largest = max(1.0, float(other.abs().max()) if other.numel() else 0.0)
        torch.testing.assert_close(one, other, atol=1e-4 * largest, rtol=0)


@kinds
def test_few_pairs_are_scored_again_and_give_the_gradients_of_the_blocks(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, images, texts = network(kind), items(8, 5, 0), items(9, 6, 1)
    weights = torch.zeros(8, 9)
    weights[0, 3], weights[5, 3], weights[7, 8], weights[2, 0] = 1.0, -2.0, 0.5, 3.0
    again: list[int] = []

    def counted(*arguments: Any) -> Any:
        for chosen in originally(*arguments):
            again.append(len(chosen[0]))
            yield chosen

    originally = pairs._pairs
    monkeypatch.setattr(pairs, "_pairs", counted)
    few = gradients(net, images, texts, weights, plain=False)
    assert sum(again) == 4
    monkeypatch.setattr(pairs, "FEW", -1.0)
    every = gradients(net, images, texts, weights, plain=False)
    assert sum(again) == 4  # not again
    for one, other in zip(few, every, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


@kinds
@settings(max_examples=10)
@given(st.integers(1, 4), st.integers(1, 12), st.integers(1, 8), st.integers(1, 40))
def test_blocks_do_not_change_scores_or_gradients(
    kind: str, photos: int, words: int, group: int, cache: int
) -> None:
    net, images, texts = network(kind), items(6, 5, 0), items(7, 6, 1)
    weights = torch.randn(6, 7, generator=torch.Generator().manual_seed(0))
    expected = fast_scores(net, images, texts)
    slopes = gradients(net, images, texts, weights, plain=False)
    with pytest.MonkeyPatch.context() as patch:
        for module in (scan, sgraf):
            patch.setattr(module, "SIZE", Size(photos, words, group))
        patch.setattr(similarity, "CACHE", cache)
        found = fast_scores(net, images, texts)
        parts = gradients(net, images, texts, weights, plain=False)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    for one, other in zip(parts, slopes, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


@kinds
@settings(max_examples=10)
@given(st.permutations(range(6)), st.permutations(range(7)))
def test_the_order_of_photos_and_captions_changes_nothing_else(
    kind: str, photos: list[int], captions: list[int]
) -> None:
    net, images, texts = network(kind), items(6, 5, 0), items(7, 6, 1)
    i, t = torch.tensor(photos), torch.tensor(captions)
    found = fast_scores(net, take(images, i), take(texts, t))
    expected = fast_scores(net, images, texts)[i][:, t]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@kinds
@settings(max_examples=10)
@given(st.permutations(range(5)), st.permutations(range(6)))
def test_the_order_of_regions_and_words_changes_nothing(
    kind: str, regions: list[int], words: list[int]
) -> None:
    net, images, texts = network(kind), items(6, 5, 0), items(7, 6, 1)

    def moved(x: Encoded[Tensor], order: list[int]) -> Encoded[Tensor]:
        return replace(x, local=x.local[:, order], mask=x.mask[:, order])

    found = fast_scores(net, moved(images, regions), moved(texts, words))
    torch.testing.assert_close(found, fast_scores(net, images, texts), atol=1e-6, rtol=0)


@kinds
def test_a_batch_of_one_has_the_scores_of_the_batch(kind: str) -> None:
    net, images, texts = network(kind), items(6, 5, 0), items(7, 6, 1)
    together = fast_scores(net, images, texts)
    for i in range(6):
        for t in range(7):
            one = fast_scores(net, take(images, slice(i, i + 1)), take(texts, slice(t, t + 1)))
            torch.testing.assert_close(one[0, 0], together[i, t], atol=1e-6, rtol=0)


@kinds
def test_no_photo_or_no_caption_gives_no_score(kind: str) -> None:
    net, images, texts = network(kind), items(3, 5, 0), items(4, 6, 1)
    none = slice(0, 0)
    assert fast_scores(net, take(images, none), texts).shape == (0, 4)
    assert fast_scores(net, images, take(texts, none)).shape == (3, 0)


@given(
    st.integers(0, 9), st.lists(st.integers(0, 9), max_size=12), st.integers(1, 5),
    st.integers(1, 30), st.integers(1, 12),
)  # fmt: skip
def test_every_pair_is_in_one_block(
    photos: int, counts: list[int], most: int, words: int, group: int
) -> None:
    seen = torch.zeros(photos, len(counts), dtype=torch.long)
    counts.sort()
    for block in blocks(photos, counts, Size(most, words, group)):
        seen[block.photos, block.captions] += 1
        own = counts[block.captions]
        assert [w for captions, w in block.groups for _ in range(captions)] == own
        assert block.words == slice(
            sum(counts[: block.captions.start]), block.words.start + sum(own)
        )
        assert sum(own) <= words or len(block.groups) == 1
        assert all(captions == 1 or captions * w <= group for captions, w in block.groups)
    assert (seen == 1).all()


def test_padding_of_captions_is_removed() -> None:
    texts = items(5, 6, 3)
    packed = pack(texts)
    assert packed.counts == sorted(texts.mask.sum(1).tolist())
    sentences = packed.words.split(packed.counts)
    for position, sentence in zip(packed.order, sentences, strict=True):
        assert torch.equal(sentence, texts.local[position][texts.mask[position]])
