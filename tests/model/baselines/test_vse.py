"""Mean pooling, VSE++ and VSE-infinity compared with values computed by hand."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hgan.model.baselines.mean_pooling import Mean
from hgan.model.baselines.vse_infinity import TwoLayers, VSEInfinity
from hgan.model.baselines.vse_plus_plus import VSEPlusPlus
from hgan.model.matchers import build_matcher, matcher_config
from hgan.model.pooling import GeneralisedPooling, MeanPooling
from tests.fixtures.networks import WIDTH, captions, photos, text_encoder

NAMES = ["mean", "vse++", "vse_infinity"]


def network(name: str, **settings: Any) -> Mean:
    torch.manual_seed(2)
    config = matcher_config({"name": name, "width": 20, "dropout": 0.3} | settings)
    net = build_matcher(config, WIDTH, text_encoder()).eval()
    assert isinstance(net, Mean)
    return net


def test_names_differ_in_the_pooling_alone() -> None:
    mean, learned = network("mean"), network("vse_infinity")
    assert isinstance(mean.pool_regions, MeanPooling) and isinstance(mean.pool_words, MeanPooling)
    assert isinstance(learned.pool_regions, GeneralisedPooling)
    assert isinstance(learned.pool_words, GeneralisedPooling)
    assert learned.pool_regions is not learned.pool_words
    extra = learned.state_dict().keys() - mean.state_dict().keys()
    assert extra and all(name.startswith("pool_") for name in extra)


def test_vse_plus_plus_is_mean_pooling_with_its_own_loss() -> None:
    mean, hard = network("mean"), network("vse++")
    assert isinstance(hard, VSEPlusPlus) and hard.losses == ("hinge",) and not mean.losses
    assert mean.state_dict().keys() == hard.state_dict().keys()
    images, texts = photos(), captions()
    found = [n.similarity(n.encode_image(images), n.encode_text(texts)) for n in (mean, hard)]
    assert torch.equal(*found)


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=4))
def test_mean_pooling_is_the_mean_of_the_real_rows(rows: list[list[bool]]) -> None:
    mask = torch.tensor(rows)
    x = torch.randn(*mask.shape, 3, generator=torch.Generator().manual_seed(1))
    for pooled, item, real in zip(MeanPooling()(x, mask), x, mask, strict=True):
        expected = item[real].mean(0) if real.any() else torch.zeros(3)
        torch.testing.assert_close(pooled, expected)


def by_hand(net: Mean, rows: Tensor, mask: Tensor, regions: bool) -> Tensor:
    """Normalise (if it does), project and average one item's real rows."""
    *before, linear = net.project_regions if regions else net.project_words
    real = rows[mask]
    if before:
        centred = real - real.mean(-1, keepdim=True)
        real = centred / (real.var(-1, unbiased=False, keepdim=True) + before[0].eps).sqrt()
    pooled = (real @ linear.weight.T + linear.bias).mean(0)
    return pooled / pooled.norm()


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("context", [True, False])
def test_mean_pooling_equals_its_equations_on_each_item_alone(norm: bool, context: bool) -> None:
    net, images, texts = network("mean", norm=norm, context=context), photos(), captions()
    token = net.text(texts.ids, texts.mask)
    scores = net.levels(net.encode_image(images), net.encode_text(texts))
    assert list(scores) == ["context"] and scores["context"].shape == (4, 3)
    for i in range(4):
        rows, real = images.regions[i], images.mask[i]
        if context:
            rows = torch.cat([rows, images.context[i : i + 1]])
            real = torch.cat([real, torch.tensor([True])])
        photo = by_hand(net, rows, real, regions=True)
        for t in range(3):
            rows, real = token.states[t], token.words[t]
            if context:
                rows = torch.cat([rows, rows[texts.mask[t].bool()].mean(0, keepdim=True)])
                real = torch.cat([real, torch.tensor([True])])
            sentence = by_hand(net, rows, real, regions=False)
            found = scores["context"][i, t]
            torch.testing.assert_close(found, photo @ sentence, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_only_a_context_is_kept(name: str) -> None:
    net = network(name)
    for found in (net.encode_image(photos()), net.encode_text(captions())):
        torch.testing.assert_close(found.context.norm(dim=-1), torch.ones(len(found.context)))
        assert found.slots.numel() == found.local.numel() == found.mask.numel() == 0
        assert found.mask.dtype == torch.bool


def test_two_layers_count_real_rows_alone_and_keep_running_statistics() -> None:
    torch.manual_seed(0)
    layers = TwoLayers(5, 8)
    rows, mask = torch.randn(3, 4, 5), torch.rand(3, 4) > 0.4
    found = layers(rows, mask)
    hidden = layers.hidden(rows[mask])
    normal = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(found[mask], layers.out(normal.relu()), atol=1e-5, rtol=1e-4)
    assert not found[~mask].any()
    torch.testing.assert_close(layers.norm.running_mean, 0.1 * hidden.mean(0))
    layers.eval()
    whole = layers(rows, mask)
    alone = torch.stack([layers(row[None, None], mask[:1, :1])[0, 0] for row in rows.flatten(0, 1)])
    torch.testing.assert_close(whole.flatten(0, 1), alone)


def test_the_published_form_adds_the_network_and_pools_the_end_markers() -> None:
    plain = network("vse_infinity")
    net = network("vse_infinity", residual=True, end_tokens=True, norm=False)
    assert isinstance(net, VSEInfinity) and net.residual is not None
    rows, mask = torch.randn(2, 3, WIDTH), torch.ones(2, 3, dtype=torch.bool)
    expected = net.project_regions(rows) + net.residual(rows, mask)
    torch.testing.assert_close(net.regions(rows, mask), expected)
    texts = captions()
    token = net.text(texts.ids, texts.mask)
    every, some = (n.choose_words(token, texts.mask).words for n in (net, plain))
    torch.testing.assert_close(every, texts.mask.bool())
    assert (every.sum(1) > some.sum(1)).all()
