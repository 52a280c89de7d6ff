"""The contract of a matcher, run for every registered one; a new one adds a row to `KINDS`."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hgan.cli.settings import parse_config
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import LEVELS
from hgan.evaluation.evaluate import encode
from hgan.model.encoding import take
from hgan.model.hgan import HGANConfig
from hgan.model.io import load_checkpoint
from hgan.model.matcher import MATCHERS, Matcher, MatcherConfig
from hgan.model.matchers import build_matcher, matcher_config
from hgan.training.config import Config
from hgan.training.trainer import train
from tests.fixtures.networks import (
    COMPONENTS,
    WIDTH,
    captions,
    network,
    photos,
    text_encoder,
    tiny_prior,
)
from tests.fixtures.tiny_model import tiny_config, tiny_dataset

ROOT = Path(__file__).parents[2]
SCAN_KINDS = {f"scan {a} {g}": (a, g) for a in ("t2i", "i2t") for g in ("mean", "lse")}
PRIOR = {"context": True, "prior": "classes", "prior_width": COMPONENTS}
KINDS: dict[str, dict[str, Any]] = {
    "hgan": {},
    "mean": {"name": "mean"},
    "vse++": {"name": "vse++"},
    "vse_infinity": {"name": "vse_infinity"},
    "vse_infinity as published": {"name": "vse_infinity", "residual": True, "end_tokens": True},
    "without norm": {"name": "scan", "norm": False, "leak": 0.1},
    **{f"{n} + context": {"name": n, "context": True} for n in ("vse_infinity", "scan", "sgraf")},
    **{f"{n} + prior": {"name": n, **PRIOR} for n in ("mean", "vse_infinity", "scan", "sgraf")},
    **{n: {"name": "scan", "attention": a, "aggregation": g} for n, (a, g) in SCAN_KINDS.items()},
    "sgr": {"name": "sgraf", "reasoning": "sgr", "similarity_width": 12},
    "saf": {"name": "sgraf", "reasoning": "saf", "similarity_width": 12},
    "saf with batch norm": {"name": "sgraf", "reasoning": "saf", "batch_norm": True},
}
"""Every matcher there is, by what its configuration changes."""
kinds = pytest.mark.parametrize("kind", KINDS)
BASELINES = {
    "mean": ("mean", "context", {}),
    "vse_infinity": ("vse_infinity", "context", {}),
    "scan_t2i": ("scan", "local", {"attention": "t2i", "aggregation": "mean"}),
    "sgr": ("sgraf", "reasoning", {"reasoning": "sgr"}),
    "saf": ("sgraf", "reasoning", {"reasoning": "saf"}),
}
"""The files that ship: name of the matcher, its level, and what the file's name promises."""


def made(kind: str) -> Matcher:
    if kind == "hgan":
        return network()  # with the paths that start at zero open
    torch.manual_seed(2)
    config = matcher_config({"width": 20, "dropout": 0.3} | KINDS[kind])
    return build(config).eval()


def build(config: MatcherConfig) -> Matcher:
    """With a prior, all levels count, as after training."""
    if getattr(config, "prior", "none") == "none" or isinstance(config, HGANConfig):
        return build_matcher(config, WIDTH, text_encoder())
    text = text_encoder()
    text.freeze(1)
    text.keep_pretrained(1)
    net = build_matcher(config, WIDTH, text, tiny_prior())
    net.set_weights(dict.fromkeys(net.level_names, 1 / len(net.level_names)))
    return net


def scores(net: Matcher, images: ImageBatch, texts: TextBatch) -> Tensor:
    return net.similarity(net.encode_image(images), net.encode_text(texts))


def photos_at(batch: ImageBatch, chosen: Any) -> ImageBatch:
    regions, context = batch.regions[chosen], batch.context[chosen]
    assert batch.boxes is not None
    return ImageBatch(regions, context, batch.mask[chosen], batch.boxes[chosen])


def assert_close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, atol=5e-5, rtol=0)


def test_every_name_builds() -> None:
    built_in = {name for name in MATCHERS if MATCHERS.find(name).__module__.startswith("hgan.")}
    assert built_in == {changes.get("name", "hgan") for changes in KINDS.values()}


@kinds
def test_a_batch_of_one_scores_as_a_row_of_a_batch(kind: str) -> None:
    net, images, texts = made(kind), photos(), captions()
    together = scores(net, images, texts)
    assert together.shape == (4, 3) and together.std() > 1e-4
    for i in range(4):
        for t in range(3):
            caption = TextBatch(texts.ids[t : t + 1], texts.mask[t : t + 1])
            alone = scores(net, photos_at(images, slice(i, i + 1)), caption)
            assert_close(alone, together[i : i + 1, t : t + 1])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "batch norm" not in kind])
def test_batch_mates_do_not_change_a_score_even_in_training(kind: str) -> None:
    net, images, texts = made(kind), photos(), captions()
    net.train()
    encoded = net.encode_image(images), net.encode_text(texts)
    together = net.similarity(*encoded)
    some = net.similarity(take(encoded[0], torch.tensor([2, 0])), take(encoded[1], slice(1, 2)))
    assert_close(some, together[[2, 0], 1:2])


@kinds
def test_padding_and_the_order_of_regions_change_nothing(kind: str) -> None:
    net, images, texts = made(kind), photos(), captions()
    expected = scores(net, images, texts)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(0))
    assert images.boxes is not None
    rows = [x[:, order] for x in (images.regions, images.mask, images.boxes)]
    noise = [torch.full_like(x[:, :2], 9) for x in rows]
    noise[1] = torch.zeros_like(rows[1][:, :2])
    regions, mask, boxes = (torch.cat(pair, 1) for pair in zip(noise, rows, strict=True))
    shuffled = ImageBatch(regions, images.context, mask, boxes)
    wider = torch.nn.functional.pad
    padded = TextBatch(wider(texts.ids, (0, 4)), wider(texts.mask, (0, 4)))
    assert_close(scores(net, shuffled, padded), expected)


@kinds
def test_a_word_left_out_in_the_middle_changes_nothing(kind: str) -> None:
    net, images, texts = made(kind), photos(), captions()
    texts.mask[:, 2] = 0
    expected = scores(net, images, texts)
    texts.ids[:, 2] = 17
    assert_close(scores(net, images, texts), expected)


@kinds
def test_a_caption_without_words_has_finite_scores_and_gradients(kind: str) -> None:
    net, images, texts = made(kind), photos(), captions((0, 3))
    found = scores(net, images, texts)
    assert torch.isfinite(found).all()
    found.sum().backward()
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(g).all() for g in gradients)


@kinds
def test_half_precision_scores_nearly_the_same_and_trains(kind: str) -> None:
    net, images, texts = made(kind), photos(), captions()
    expected = scores(net, images, texts)
    with torch.autocast("cpu", torch.bfloat16):
        found = scores(net, images, texts)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.float(), expected, atol=0.1, rtol=0)
    found.float().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@kinds
def test_similarities_are_float32_under_autocast(kind: str) -> None:
    """bfloat16 has so few digits that many different scores would become equal."""
    net, images, texts = made(kind), photos(), captions()
    encoded = net.encode_image(images), net.encode_text(texts)
    expected = net.levels(*encoded)
    with torch.autocast("cpu", torch.bfloat16):
        found = net.levels(*encoded)
    for name, matrix in expected.items():
        assert found[name].dtype == torch.float32
        assert torch.equal(found[name], matrix)


@kinds
def test_every_parameter_is_trained(kind: str) -> None:
    net = made(kind)
    net.train()
    (scores(net, photos(), captions()) * torch.randn(4, 3)).sum().backward()
    idle = [n for n, p in net.named_parameters() if not n.startswith("text.") and p.grad is None]
    assert idle == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "prior" not in kind])
def test_one_epoch_trains_and_the_checkpoint_scores_the_same(kind: str, tmp_path: Path) -> None:
    loss = {"name": "hinge"} if kind == "vse++" else {}
    config = tiny_config(tmp_path, model=KINDS[kind], optim={"epochs": 1}, loss=loss)
    loaded = load_checkpoint(train(config).best)
    assert loaded.network.config.name == KINDS[kind].get("name", "hgan")
    data = tiny_dataset(config, loaded, "val")
    with torch.inference_mode():
        expected = loaded.network.similarity(*encode(loaded.network, data))
        loaded.save_pretrained(tmp_path / "again")
        again = load_checkpoint(tmp_path / "again").network
        assert torch.equal(again.similarity(*encode(again, data)), expected)
    assert torch.isfinite(expected).all() and expected.std() > 1e-4


@kinds
def test_the_card_speaks_of_this_model(kind: str, tmp_path: Path) -> None:
    from hgan.model.card import model_card

    net = made(kind)
    config = tiny_config(tmp_path)
    card = model_card(net, config.vision, config.text, {})
    assert f"# {net.title}: image-text retrieval" in card
    assert ("MFAR" in card) == (kind == "hgan")
    assert "{" not in card


@pytest.mark.parametrize("file", BASELINES)
def test_a_shipped_baseline_is_what_its_name_says(file: str) -> None:
    name, level, settings = BASELINES[file]
    text = (ROOT / "configs" / "baselines" / f"{file}.yaml").read_text()
    [command] = re.findall(r"^#   hgan train +(.*)$", text, re.MULTILINE)
    words = [str(ROOT / w) if w.endswith(".yaml") else w for w in command.split()]
    config = parse_config(words)
    assert config.run == Path("runs/baselines") / file
    assert config.model.name == name
    assert settings.items() <= asdict(config.model).items()
    assert build_matcher(config.model, WIDTH, text_encoder()).level_names == (level,)
    full = parse_config(["--config", str(ROOT / "configs" / "flickr8k.yaml")])
    for section in ("data", "vision", "text", "loss", "optim"):
        assert asdict(config)[section] == asdict(full)[section]


def test_the_default_is_hgan() -> None:
    assert Config().model.name == "hgan"
    assert build_matcher(Config().model, WIDTH, text_encoder()).level_names == LEVELS
