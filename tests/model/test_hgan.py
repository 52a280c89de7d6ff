"""The whole network: what must not change its outputs, its switches, precision, gradients."""

import itertools
from dataclasses import replace

import pytest
import torch

from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import LEVELS
from hgan.errors import ConfigError
from hgan.model.encoding import take
from hgan.model.hgan import HGAN, HGANConfig
from hgan.model.layers import unit
from tests.fixtures.networks import SMALL, assert_equal, captions, network, photos


def head_size(net: HGAN) -> int:
    return sum(p.numel() for name, p in net.named_parameters() if not name.startswith("text."))


def test_rows_are_of_unit_length_and_masked_rows_zero() -> None:
    net = network()
    for found in (net.encode_image(photos()), net.encode_text(captions())):
        assert found.context.shape[1] == SMALL.width
        assert found.slots.shape[1:] == (SMALL.slots, SMALL.slot_width)
        for rows in (found.context, found.slots):
            torch.testing.assert_close(rows.norm(dim=-1), torch.ones(rows.shape[:-1]))
        lengths = found.local.norm(dim=-1)[found.mask]
        if found.local.shape[1] == 5:  # regions; the length of a word is what it counts
            torch.testing.assert_close(lengths, torch.ones_like(lengths))
        assert (lengths > 0).all()
        assert found.local.dtype == found.context.dtype == torch.float32
        assert (found.local[~found.mask] == 0).all()


def test_regions_count_alike_and_words_by_weights_that_average_one() -> None:
    net = network()
    images, texts = net.encode_image(photos()), net.encode_text(captions())
    lengths = images.local[images.mask].norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))
    weights, counts = texts.local.norm(dim=-1), texts.mask.sum(1)
    torch.testing.assert_close(weights.sum(1), counts.float())
    assert weights[texts.mask].std() > 0


def test_garbage_in_padded_regions_changes_nothing() -> None:
    net, batch = network(), photos()
    hidden = ~batch.mask[..., None]
    dirty = replace(
        batch,
        regions=batch.regions.masked_fill(hidden, 1e3),
        boxes=batch.boxes.masked_fill(hidden, 0.9),
    )
    assert hidden.any()
    assert_equal(net.encode_image(dirty), net.encode_image(batch))


def test_more_padded_regions_change_nothing() -> None:
    net, batch = network(), photos()

    def grow(x: torch.Tensor, value: float) -> torch.Tensor:
        """Two more regions in front and one behind: the mask is no prefix."""
        shape = (len(x), 1, *x.shape[2:])
        more = torch.full(shape, value).to(x.dtype)
        return torch.cat([more, more, x, more], dim=1)

    longer = ImageBatch(
        grow(batch.regions, 7.0), batch.context, grow(batch.mask, 0), grow(batch.boxes, 0.5)
    )
    assert_equal(net.encode_image(longer), net.encode_image(batch))


def test_more_padded_words_change_nothing() -> None:
    net, batch = network(), captions()
    garbage = torch.randint(5, 40, (3, 4))
    longer = TextBatch(
        torch.cat([batch.ids, garbage], dim=1),
        torch.cat([batch.mask, torch.zeros_like(garbage)], dim=1),
    )
    assert_equal(net.encode_text(longer), net.encode_text(batch))


def test_words_left_out_in_the_middle_equal_words_that_never_were_there() -> None:
    """Given their token states, the tower sees no difference: places count over real tokens."""
    net = network()
    net.text.freeze(0)
    batch = captions((6,))
    states = net.text.pretrained_states(batch.ids, batch.mask, net.text.frozen_layers).clone()
    mask = batch.mask.clone()
    mask[0, [2, 4]] = 0
    kept = mask[0].bool()
    short = TextBatch(batch.ids[:, kept], batch.mask[:, kept], states[:, kept])
    assert_equal(net.encode_text(TextBatch(batch.ids, mask, states)), net.encode_text(short))


def test_a_batch_of_one_equals_its_row_in_a_batch() -> None:
    net, images, texts = network(), photos(), captions()
    together, spoken = net.encode_image(images), net.encode_text(texts)
    for i in range(3):
        one = slice(i, i + 1)
        alone = ImageBatch(
            images.regions[one], images.context[one], images.mask[one], images.boxes[one]
        )
        assert_equal(net.encode_image(alone), take(together, one))
        length = int(texts.mask[i].sum())
        said = TextBatch(texts.ids[one, :length], texts.mask[one, :length])
        assert_equal(net.encode_text(said), take(spoken, one))
    assert net.similarity(take(together, slice(0, 1)), take(spoken, slice(0, 1))).shape == (1, 1)


def test_captions_encoded_in_parts_equal_captions_encoded_together() -> None:
    net, batch = network(), captions((3, 6, 4))
    parts = [
        TextBatch(batch.ids[:1, :5], batch.mask[:1, :5]),
        TextBatch(batch.ids[1:], batch.mask[1:]),
    ]
    joined = net.encode_texts(parts)
    assert_equal(joined, net.encode_text(batch))
    assert joined.local.shape == net.encode_text(batch).local.shape


def test_the_order_of_regions_moves_local_rows_and_nothing_else() -> None:
    net, batch = network(), photos()
    order = torch.tensor([3, 0, 4, 2, 1])
    moved = ImageBatch(
        batch.regions[:, order], batch.context, batch.mask[:, order], batch.boxes[:, order]
    )
    one, other = net.encode_image(batch), net.encode_image(moved)
    torch.testing.assert_close(other.local, one.local[:, order], atol=1e-5, rtol=0)
    assert torch.equal(other.mask, one.mask[:, order])
    torch.testing.assert_close(other.context, one.context, atol=1e-5, rtol=0)
    torch.testing.assert_close(other.slots, one.slots, atol=1e-5, rtol=0)


def test_where_a_region_stands_matters_to_its_graph() -> None:
    net, batch = network(), photos()
    moved = replace(batch, boxes=batch.boxes.flip(0))
    assert not torch.allclose(net.encode_image(moved).local, net.encode_image(batch).local)


def test_rows_of_zeros_have_finite_units_and_gradients() -> None:
    rows = torch.zeros(2, 3, requires_grad=True)
    found = unit(rows)
    found.sum().backward()
    assert torch.equal(found, torch.zeros(2, 3)) and torch.isfinite(rows.grad).all()


def test_a_caption_of_no_words_and_a_photo_of_no_regions_are_finite() -> None:
    net = network()
    empty = captions((0, 3))
    found = net.encode_text(empty)
    assert not found.mask[0].any() and torch.isfinite(found.context).all()
    bare = replace(photos(), mask=torch.zeros(4, 5, dtype=torch.bool))
    seen = net.encode_image(bare)
    for rows in (seen.context, seen.slots, seen.local, found.slots):
        assert torch.isfinite(rows).all()
    assert torch.isfinite(net.similarity(net.encode_image(photos()), found)).all()


def test_bfloat16_is_close_to_float32() -> None:
    net, images, texts = network(), photos(), captions()
    exact = net.levels(net.encode_image(images), net.encode_text(texts))
    with torch.autocast("cpu", torch.bfloat16):
        rough = net.encode_image(images), net.encode_text(texts)
    assert all(e.context.dtype == e.local.dtype == torch.float32 for e in rough)
    for name, scores in net.levels(*rough).items():
        torch.testing.assert_close(scores, exact[name], atol=0.05, rtol=0)


SUBSETS = [list(s) for n in (1, 2, 3) for s in itertools.combinations(LEVELS, n)]


@pytest.mark.parametrize("levels", SUBSETS, ids="+".join)
def test_every_subset_of_levels_runs_and_is_smaller(levels: list[str]) -> None:
    net = network(levels=levels)
    images, texts = net.encode_image(photos()), net.encode_text(captions())
    scores = net.levels(images, texts)
    assert list(scores) == levels and all(s.shape == (4, 3) for s in scores.values())
    assert net.similarity(images, texts).isfinite().all()
    assert images.context.shape[1] == (SMALL.width if "context" in levels else 0)
    assert images.slots.shape[1:] == ((3, 8) if "shared" in levels else (0, 0))
    assert texts.local.shape[-1] == (10 if "local" in levels else 0)
    assert texts.mask.shape[1] == (texts.local.shape[1])
    assert head_size(net) < head_size(network()) or levels == list(LEVELS)


@pytest.mark.parametrize(
    "off",
    [
        {"image_graph": False},
        {"text_graph": False},
        {"image_graph": False, "text_graph": False},
        {"mfar": False, "levels": ["context", "local"]},
        {"image_graph": False, "text_graph": False, "mfar": False, "levels": ["context"]},
    ],
    ids=lambda off: "-".join(off),
)
def test_every_part_can_be_switched_off(off: dict) -> None:
    net = network(**off)
    with_it = network(levels=off.get("levels", list(LEVELS)))
    assert head_size(net) < head_size(with_it)
    scores = net.similarity(net.encode_image(photos()), net.encode_text(captions()))
    assert scores.isfinite().all() and scores.std() > 0


def test_the_shared_level_needs_mfar_and_levels_must_make_sense() -> None:
    with pytest.raises(ConfigError, match="MFAR"):
        HGANConfig(mfar=False)
    with pytest.raises(ConfigError, match="once"):
        HGANConfig(levels=[])
    with pytest.raises(ConfigError, match="once"):
        HGANConfig(levels=["local", "local"])


@pytest.mark.parametrize("levels", [list(LEVELS), ["context"]], ids="+".join)
def test_every_trained_parameter_learns(levels: list[str]) -> None:
    """Nothing is built that no loss reaches; a graph serves the context even alone."""
    net = network(levels=levels).train()
    scores = net.levels(net.encode_image(photos()), net.encode_text(captions()))
    sum(s.square().sum() for s in scores.values()).backward()
    deaf = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A bias of all scores alike cannot move a softmax; these have no other effect.
    invariant = ("edge_bias.net.2.bias", "attention.self.key.bias", "norm_local.bias")
    deaf = [n for n in deaf if not n.endswith(invariant) and "embeddings" not in n]
    if levels == ["context"]:  # nodes serve only through the context's own
        unused = ("aggregation.gate", "aggregation.down")
        deaf = [n for n in deaf if not any(part in n for part in unused)]
    assert deaf == []


def test_weights_of_levels_are_kept_with_the_model() -> None:
    net = network()
    assert net.weights == pytest.approx({"context": 1 / 3, "shared": 1 / 3, "local": 1 / 3})
    net.set_weights({"context": 0.5, "shared": 0.2, "local": 0.3})
    images, texts = net.encode_image(photos()), net.encode_text(captions())
    levels = net.levels(images, texts)
    expected = 0.5 * levels["context"] + 0.2 * levels["shared"] + 0.3 * levels["local"]
    torch.testing.assert_close(net.similarity(images, texts), expected)
    assert "level_weights" in net.state_dict()


def test_dropout_takes_a_feature_from_all_regions_at_once() -> None:
    drop = network().image_tower.dropout.train()
    x = drop(torch.ones(2, 5, 400))
    assert torch.equal(x, x[:, :1].expand_as(x))
    share = (x[:, 0] == 0).float().mean().item()
    assert share == pytest.approx(SMALL.dropout, abs=0.08)
    assert x.max().item() == pytest.approx(1 / (1 - SMALL.dropout))
    assert torch.equal(drop.eval()(x), x)
