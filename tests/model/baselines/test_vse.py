"""VSE++ and VSE-infinity: pooling and cosine, compared with values computed by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hgan.model.baselines.vse_infinity import VSEInfinity, VSEInfinityConfig
from hgan.model.baselines.vse_plus_plus import VSEConfig, VSEPlusPlus
from hgan.model.pooling import GeneralisedPooling, MeanPooling
from tests.fixtures.networks import WIDTH, captions, photos, text_encoder

NAMES = ["vse++", "vse_infinity"]


def network(name: str) -> VSEPlusPlus:
    torch.manual_seed(2)
    if name == "vse++":
        return VSEPlusPlus(VSEConfig(width=20, dropout=0.3), WIDTH, text_encoder()).eval()
    return VSEInfinity(VSEInfinityConfig(width=20, dropout=0.3), WIDTH, text_encoder()).eval()


def test_names_differ_in_the_pooling_alone() -> None:
    mean, learned = network("vse++"), network("vse_infinity")
    assert isinstance(mean.pool_regions, MeanPooling) and isinstance(mean.pool_words, MeanPooling)
    assert isinstance(learned.pool_regions, GeneralisedPooling)
    assert isinstance(learned.pool_words, GeneralisedPooling)
    assert learned.pool_regions is not learned.pool_words
    extra = learned.state_dict().keys() - mean.state_dict().keys()
    assert extra and all(name.startswith("pool_") for name in extra)


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=4))
def test_mean_pooling_is_the_mean_of_the_real_rows(rows: list[list[bool]]) -> None:
    mask = torch.tensor(rows)
    x = torch.randn(*mask.shape, 3, generator=torch.Generator().manual_seed(1))
    for pooled, item, real in zip(MeanPooling()(x, mask), x, mask, strict=True):
        expected = item[real].mean(0) if real.any() else torch.zeros(3)
        torch.testing.assert_close(pooled, expected)


def by_hand(net: VSEPlusPlus, rows: Tensor, mask: Tensor, regions: bool) -> Tensor:
    """Normalise, project and average one item's real rows."""
    norm, _, linear = net.project_regions if regions else net.project_words
    real = rows[mask]
    centred = real - real.mean(-1, keepdim=True)
    normal = centred / (real.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    pooled = (normal @ linear.weight.T + linear.bias).mean(0)
    return pooled / pooled.norm()


def test_vse_plus_plus_equals_its_equations_on_each_item_alone() -> None:
    net, images, texts = network("vse++"), photos(), captions()
    token = net.text(texts.ids, texts.mask)
    scores = net.levels(net.encode_image(images), net.encode_text(texts))
    assert list(scores) == ["context"] and scores["context"].shape == (4, 3)
    for i in range(4):
        photo = by_hand(net, images.regions[i], images.mask[i], regions=True)
        for t in range(3):
            sentence = by_hand(net, token.states[t], token.words[t], regions=False)
            found = scores["context"][i, t]
            torch.testing.assert_close(found, photo @ sentence, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_only_a_context_is_kept(name: str) -> None:
    net = network(name)
    for found in (net.encode_image(photos()), net.encode_text(captions())):
        torch.testing.assert_close(found.context.norm(dim=-1), torch.ones(len(found.context)))
        assert found.slots.numel() == found.local.numel() == found.mask.numel() == 0
        assert found.mask.dtype == torch.bool
