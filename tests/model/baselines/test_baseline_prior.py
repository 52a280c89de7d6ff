"""Baselines with a semantic prior: its levels by plain loops, and the method's own unchanged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hgan.cli import main
from hgan.config import DataConfig, VisionConfig
from hgan.errors import ConfigError
from hgan.export.bundle import export
from hgan.model.baselines.baseline import PRIOR, PRIOR_LOCAL, Baseline
from hgan.model.hgan import HGAN
from hgan.model.io import TrainedModel, load_checkpoint
from hgan.model.matchers import build_matcher, matcher_config
from hgan.model.prior import EmbeddingPrior
from hgan.text.transformer import TransformerEncoder
from hgan.training.config import Config
from hgan.training.trainer import train
from hgan.vision.backbone import grid_boxes
from tests.fixtures.networks import (
    COMPONENTS,
    WIDTH,
    captions,
    network_with_prior,
    photos,
    text_encoder,
    tiny_prior,
)
from tests.fixtures.runs import write_config
from tests.fixtures.tiny_model import tiny_config

NAMES = ["mean", "vse++", "vse_infinity", "scan", "sgraf"]
names = pytest.mark.parametrize("name", NAMES)


def kept_text() -> TransformerEncoder:
    text = text_encoder()
    text.freeze(1)
    text.keep_pretrained(1)
    return text


def made(name: str, **changes: Any) -> Baseline:
    torch.manual_seed(2)
    values = {"name": name, "width": 20, "prior": "classes", "prior_width": COMPONENTS} | changes
    net = build_matcher(matcher_config(values), WIDTH, kept_text(), tiny_prior()).eval()
    assert isinstance(net, Baseline)
    return net


def cosine(one: Tensor, other: Tensor) -> float:
    return float(one @ other / (one.norm() * other.norm()))


def scored(net: Baseline, seed: int = 0) -> dict[str, Tensor]:
    with torch.inference_mode():
        texts = captions(seed=seed)
        return net.levels(net.encode_image(photos(seed=seed)), net.encode_text(texts))


@names
@pytest.mark.parametrize("context", [False, True])
def test_the_levels_of_the_prior_equal_their_definition(name: str, context: bool) -> None:
    net, images, texts = made(name, context=context), photos(), captions()
    found, prior = scored(net), tiny_prior()
    token = net.text(texts.ids, texts.mask)
    assert token.pretrained is not None
    for i in range(len(images.mask)):
        whole, regions = prior.image(images.context[i]), prior.image(images.regions[i])
        for t in range(len(texts.ids)):
            states, real = token.pretrained[t], texts.mask[t].bool()
            sentence = prior.text(states[real].mean(0))
            assert found[PRIOR][i, t] == pytest.approx(cosine(whole, sentence), abs=1e-5)
            best = [
                max(cosine(r, w) for r, ok in zip(regions, images.mask[i], strict=True) if ok)
                for w, is_word in zip(prior.text(states), token.words[t], strict=True)
                if is_word
            ]
            assert found[PRIOR_LOCAL][i, t] == pytest.approx(sum(best) / len(best), abs=1e-5)


@names
@given(seed=st.integers(0, 20), context=st.booleans())
@settings(max_examples=5)
def test_its_own_level_is_that_of_a_wider_baseline_without_prior(
    name: str, seed: int, context: bool
) -> None:
    """One whose rows have the prior's positions beside the features already."""
    net = made(name, context=context)
    plain = build_matcher(
        matcher_config({"name": name, "width": 20, "context": context}),
        WIDTH + COMPONENTS,
        wider_text(),
    ).eval()
    own = {n: x for n, x in net.state_dict().items() if not n.startswith(("text.", "prior."))}
    own["level_weights"] = torch.ones(1)
    assert not plain.load_state_dict(own, strict=False).unexpected_keys
    images, prior = photos(seed=seed), tiny_prior()
    positions = [positioned(prior.image(x)) for x in (images.regions, images.context)]
    wide = replace(
        images,
        regions=torch.cat([images.regions, positions[0]], -1),
        context=torch.cat([images.context, positions[1]], -1),
    )
    with torch.inference_mode():
        assert isinstance(plain, Baseline)
        expected = plain.levels(plain.encode_image(wide), plain.encode_text(captions(seed=seed)))
    for level, scores in expected.items():
        torch.testing.assert_close(scored(net, seed)[level], scores, atol=1e-5, rtol=0)


def positioned(x: Tensor) -> Tensor:
    return F.normalize(x, dim=-1) * x.shape[-1] ** 0.5


def wider_text() -> Any:
    """A text encoder whose states have the prior's positions beside them."""
    text, prior = kept_text(), tiny_prior()

    class Wider(type(text)):  # type: ignore[misc]
        width = text.width + COMPONENTS

        def forward(self, ids: Tensor, mask: Tensor, *caches: Any) -> Any:
            token = super().forward(ids, mask, *caches)
            rows = positioned(prior.text(token.pretrained))
            real = mask[..., None]
            mean = (token.pretrained * real).sum(1) / real.sum(1)
            return token._replace(
                states=torch.cat([token.states, rows], -1),
                context=torch.cat([token.context, positioned(prior.text(mean))], -1),
            )

    text.__class__ = Wider
    return text


@names
def test_it_starts_from_the_prior(name: str) -> None:
    net = made(name)
    levels = scored(net)
    assert net.has_prior and list(levels) == [*net.own_levels, PRIOR, PRIOR_LOCAL]
    with torch.inference_mode():
        found = net.similarity(net.encode_image(photos()), net.encode_text(captions()))
    torch.testing.assert_close(found, (levels[PRIOR] + levels[PRIOR_LOCAL]) / 2)
    assert net.optional_levels == {PRIOR, PRIOR_LOCAL}


def test_its_prior_is_that_of_hgan() -> None:
    """With one width for both levels, which HGAN need not have."""
    share = 0.5
    hgan = network_with_prior(prior_local_width=COMPONENTS, prior_share=share)
    with torch.inference_mode():
        images, texts = hgan.encode_image(photos()), hgan.encode_text(captions())
    expected, found = hgan.levels(images, texts), scored(made("mean"))
    assert isinstance(hgan, HGAN)
    torch.testing.assert_close(found[PRIOR], expected["context"] / share, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[PRIOR_LOCAL], expected["local"] / share, atol=1e-5, rtol=0)


def test_the_embeddings_of_a_dual_encoder_are_refused() -> None:
    config = matcher_config({"name": "scan"})
    with pytest.raises(ConfigError, match="scan cannot start from the embeddings of a dual"):
        build_matcher(config, WIDTH, text_encoder(), EmbeddingPrior(20))


# --- from a real backbone


@pytest.fixture
def config(flickr8k: Path, tmp_path: Path) -> Config:
    """VSE-infinity with a prior on a few real photos."""
    lines = (flickr8k / "captions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    few = [[x for x in lines if f'"{split}"' in x][:8] for split in ("train", "val")]
    (tmp_path / "captions.jsonl").write_text("".join(few[0] + few[1]), encoding="utf-8")
    config = tiny_config(
        tmp_path / "tiny",
        vision={"backbone": "efficientnet-lite2", "size": 64, "grid": 2, "views": 1},
        model={"name": "vse_infinity", "prior": "classes", "prior_width": 12, "context": True},
    )
    data = DataConfig(tmp_path / "captions.jsonl", flickr8k / "images", tmp_path / "features")
    return replace(config, data=data, run=tmp_path / "run")


@pytest.mark.slow
def test_it_trains_chooses_weights_and_is_loaded_as_it_was_saved(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["extract", *write_config(config, config.run.parent / "extract.yaml")]) == 0
    run = train(config)
    assert "before training" in capsys.readouterr().err
    loaded = load_checkpoint(run.best).network
    assert isinstance(loaded, Baseline) and loaded.prior is not None
    assert loaded.weights.keys() == {"context", PRIOR, PRIOR_LOCAL}
    assert loaded.weights["context"] >= 0.1 and sum(loaded.weights.values()) == pytest.approx(1)
    with pytest.raises(ConfigError, match=r"no place for the levels prior, prior_local; train"):
        export(run.best, config.run.parent / "bundle")


@names
def test_a_saved_model_scores_the_same(name: str, tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    vision = VisionConfig(backbone="efficientnet-lite2", size=64, grid=2)
    settings = {"name": name, "width": 20, "prior": "classes", "prior_width": 12}
    kept = TrainedModel.create(matcher_config(settings), vision, config.text, 1280, grid_boxes(2))
    kept.save_pretrained(tmp_path / "model")
    loaded = load_checkpoint(tmp_path / "model")
    assert isinstance(kept.network, Baseline) and kept.network.prior is not None
    assert isinstance(loaded.network, Baseline) and loaded.network.prior is not None
    saved, found = kept.network.state_dict(), loaded.network.state_dict()
    assert saved.keys() == found.keys() and all(torch.equal(saved[n], x) for n, x in found.items())
    assert loaded.network.prior.describe() == kept.network.prior.describe()
