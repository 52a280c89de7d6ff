"""The model card: the hub can read its metadata, and it describes this model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import EvalResult

from hgan.config import TextConfig, VisionConfig
from hgan.model.card import PIPELINE_TAG, USE, model_card
from hgan.model.hgan import HGAN
from hgan.model.matchers import build_matcher, matcher_config
from hgan.model.prior import SemanticPrior
from hgan.runtime.bundle import default_bundle
from hgan.training.trainer import train
from tests.fixtures.networks import SMALL, WIDTH, network, text_encoder
from tests.fixtures.tiny_model import tiny_config

FACTS: dict[str, Any] = {
    "captions": "captions.jsonl",
    "data set": "flickr8k",
    "training photos": 5997,
    "seed": 3,
    "rSum on val": {"context": 250.04, "S": 301.25},
    "recall on val": {"image to text R@1": 40.5, "text to image R@10": 70.125},
}


def card(
    facts: dict[str, Any] = FACTS,
    backbone: str = "efficientnet-lite2",
    encoder: str = "minilm",
    **text: Any,
) -> ModelCard:
    """A card, read back as the hub reads it."""
    settings = VisionConfig(backbone=backbone), TextConfig(encoder=encoder, **text)
    return ModelCard(model_card(network(), *settings, facts))


def test_the_metadata_are_those_of_this_model() -> None:
    found = card().data.to_dict()
    found.pop("model-index")
    assert found == {
        "library_name": "hgan",
        "pipeline_tag": PIPELINE_TAG,
        "tags": ["image-text-retrieval", "image-text-matching"],
        "base_model": [
            "timm/tf_efficientnet_lite2.in1k",
            "sentence-transformers/all-MiniLM-L6-v2",
        ],
        "base_model_relation": "finetune",
        "datasets": ["jxie/flickr8k"],
        "language": "en",
        "license": "other",
        "license_name": "flickr8k-non-commercial",
    }


def test_the_results_are_read_back() -> None:
    data = card().data
    results: list[EvalResult] = data.eval_results
    assert data.model_name == "HGAN"
    assert [(r.metric_name, r.metric_value, r.metric_args) for r in results] == [
        ("rSum (S)", 301.25, None),
        ("image to text R@1", 40.5, {"k": 1}),
        ("text to image R@10", 70.12, {"k": 10}),
    ]
    assert {(r.task_type, r.dataset_type, r.dataset_name, r.dataset_split) for r in results} == {
        (PIPELINE_TAG, "jxie/flickr8k", "Flickr8k", "validation")
    }


def test_the_text_tells_training_weights_and_terms() -> None:
    text = card().text
    for fact in (
        "--model NAME",
        'hgan.load("NAME")',
        "context 0.3",
        "| seed | 3 |",
        "S 301.2",
        "non-commercial",
        "test split was not",
    ):
        assert fact in text
    assert "{" not in text


@pytest.mark.parametrize(
    ("key", "hub_id", "words"),
    [("flickr30k", "nlphuji/flickr30k", "TACL 2014"), ("coco", "HuggingFaceM4/COCO", "CC BY 4.0")],
)
def test_another_known_data_set_has_its_own_terms(key: str, hub_id: str, words: str) -> None:
    found = card(FACTS | {"data set": key})
    assert found.data.datasets == [hub_id] and words in found.text
    assert "flickr8k" not in found.content.lower() and "dogs" not in found.text


@pytest.mark.parametrize("facts", [FACTS | {"data set": "own captions"}, {"captions": "x.csv"}])
def test_the_licence_for_other_captions_is_left_to_their_owner(facts: dict[str, Any]) -> None:
    found = card(facts)
    assert found.data.license is None and found.data.datasets is None
    assert f"your own captions, `{facts['captions']}`" in found.text
    assert "flickr" not in found.content.lower()


def test_only_weights_that_are_used_have_terms(tmp_path: Path) -> None:
    found = card(backbone="precomputed", encoder="bigru", vectors=Path("glove.txt"))
    assert found.data.base_model is None and "`glove.txt`" in found.text
    assert "EfficientNet" not in found.text and "MiniLM" not in found.text
    found = card(backbone="facebook/dinov2-base", encoder=str(tmp_path))
    assert found.data.base_model == ["facebook/dinov2-base"]
    assert "facebook/dinov2-base weights: see https://huggingface.co/facebook" in found.text
    assert f"local folder `{tmp_path.name}`" in found.text
    assert str(tmp_path) not in found.content  # no path of this machine


def test_an_untrained_model_has_no_results() -> None:
    found = card({})
    assert found.data.eval_results is None and "Not trained yet." in found.text


@pytest.mark.parametrize(
    ("name", "title", "parts"),
    [
        ("hgan", "HGAN", "| MFAR | yes |"),
        ("mean", "Mean pooling", "| pooling | mean |"),
        ("vse++", "VSE++", "| pooling | mean |"),
        ("vse_infinity", "VSE-infinity", "| pooling | generalised |"),
        ("scan", "SCAN", "| attention | words attend to regions |"),
        ("sgraf", "SGRAF", "| reasoning | graph (SGR), 256 wide |"),
    ],
)
def test_the_card_describes_this_method(name: str, title: str, parts: str) -> None:
    net = build_matcher(matcher_config({"name": name}), WIDTH, text_encoder())
    found = model_card(net, VisionConfig(), TextConfig(), FACTS)
    assert f"# {title}: image-text retrieval" in found and parts in found
    assert ("MFAR" in found) == (name == "hgan")


def test_the_card_says_whether_there_is_a_prior_and_where_its_names_are_from() -> None:
    found = model_card(network(), VisionConfig(), TextConfig(), FACTS)
    assert "| semantic prior | none |" in found and "WordNet" not in found
    prior = SemanticPrior(classes=6, image_width=WIDTH, text_width=WIDTH, width=4)
    net = HGAN(replace(SMALL, prior_width=4, prior_local_width=2), WIDTH, text_encoder(), prior)
    found = model_card(net, VisionConfig(), TextConfig(), FACTS)
    for words in (
        "| semantic prior | ConSE (Norouzi",
        "ImageNet classes",
        "- Names of the ImageNet",
    ):
        assert words in found
    baseline = build_matcher(matcher_config({"name": "vse++"}), WIDTH, text_encoder())
    assert "| semantic prior | none |" in model_card(baseline, VisionConfig(), TextConfig(), FACTS)


@pytest.mark.parametrize(
    ("layers", "words"),
    [(0, "lite2, frozen |"), (3, "layers trained: 3 |"), (None, "lite2, trained completely |")],
)
def test_the_card_says_how_many_vision_layers_were_trained(layers: int | None, words: str) -> None:
    vision = VisionConfig(trainable_layers=layers, views=None)
    assert words in model_card(network(), vision, TextConfig(), FACTS)


def test_a_trained_model_brings_its_facts(tmp_path: Path) -> None:
    result = train(tiny_config(tmp_path, optim={"epochs": 1}))
    found = ModelCard.load(result.best / "README.md")
    assert found.data.license is None  # made-up captions
    by_name = {r.metric_name: r.metric_value for r in found.data.eval_results}
    assert by_name["rSum (S)"] == pytest.approx(result.rsum, abs=0.01)
    recalls = [value for name, value in by_name.items() if "R@" in name]
    assert len(recalls) == 6 and sum(recalls) == pytest.approx(result.rsum, abs=0.05)


def test_the_shipped_model_has_a_card_of_this_form() -> None:
    found = (default_bundle() / "README.md").read_text(encoding="utf-8")
    assert USE in found
    sections = [line for line in found.splitlines() if line.startswith("## ")]
    expected = model_card(network(), VisionConfig(), TextConfig(), FACTS).splitlines()
    assert sections == [line for line in expected if line.startswith("## ")]
