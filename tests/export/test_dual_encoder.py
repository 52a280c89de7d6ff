"""Dual encoders as bundles: cosines equal those of `transformers`, for each supported class."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image

import hgan
from hgan.dual_encoders.load import FAMILIES
from hgan.errors import ConfigError, DataError
from hgan.export.dual_encoder import export_dual_encoder
from hgan.export.model import export_model
from hgan.hub import HubModel
from hgan.model.card import USE
from hgan.runtime.bundle import Bundle
from hgan.runtime.preprocessing import Preprocessing
from tests.fixtures.dual_encoders import (
    MODELS,
    SIZE,
    TEXTS,
    WORDS,
    own_features,
    write_dual_encoder,
)
from tests.fixtures.scenes import draw_scene

Exported = Callable[[str], tuple[Path, Bundle]]

FILES = {"image.onnx", "text.onnx", "patches.onnx", "tokenizer.json"}
FAST = "clip"
NAMES = [
    FAST,
    *(pytest.param(name, marks=pytest.mark.slow) for name in MODELS if name != FAST),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The folder of a model and its bundle, both made once."""
    root = tmp_path_factory.mktemp("dual")
    made: dict[str, tuple[Path, Bundle]] = {}

    def get(name: str) -> tuple[Path, Bundle]:
        if name not in made:
            folder = root / name
            write_dual_encoder(name, folder)
            bundle = export_dual_encoder(HubModel.find(folder), root / f"{name} bundle")
            made[name] = folder, Bundle.load(bundle)
        return made[name]

    return get


@pytest.fixture
def model_folder(exported: Exported, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(exported(FAST)[0], folder)
    return folder


def assert_same(folder: Path, bundle: Bundle, photos: list[Image.Image]) -> None:
    images, texts = own_features(folder, photos, TEXTS)
    expected = images @ texts.T
    assert expected.std() > 0.02, "the model tells photos and texts apart"
    found = hgan.similarity(bundle.encode_image(photos), bundle.encode_text(TEXTS))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    for text, row in zip(TEXTS, texts, strict=True):  # without padding to longer ones
        np.testing.assert_allclose(bundle.encode_text(text).context[0], row, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_cosines_equal_those_of_transformers(exported: Exported, name: str) -> None:
    photos = [draw_scene(number).resize((120, 90)) for number in range(4)]
    photos.append(photos[0].resize((333, 41)))
    assert_same(*exported(name), photos)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_cosines_are_equal_on_real_photos(exported: Exported, name: str, flickr8k: Path) -> None:
    files = sorted((flickr8k / "images").iterdir())[:8]
    files += sorted((flickr8k.parent / "coco_mini_val" / "images").glob("*.jpg"))[:8]
    photos = [Image.open(file).convert("RGB") for file in files]
    for photo in photos:  # four times larger ones are reduced before they are resized
        photo.thumbnail((120, 120))
    assert_same(*exported(name), photos)


def test_every_class_is_tested() -> None:
    assert {name.split(",")[0] for name in MODELS} == set(FAMILIES)


def test_the_bundle_describes_the_model(exported: Exported) -> None:
    _, bundle = exported(FAST)
    assert bundle.name == FAST
    assert bundle.preprocessing == Preprocessing(SIZE, "crop", "bicubic", 36, scale=3)
    assert bundle.levels == ("context",) and bundle.dimension == 16
    assert bundle.config.max_words == WORDS
    assert bundle.logits is None and bundle.languages == ()
    encoded = bundle.encode_text(TEXTS)
    assert encoded.slots.shape == (4, 0, 0) and encoded.local.shape == (4, 0, 0)
    names = {file.name for file in bundle.folder.iterdir()}
    assert names == {"README.md", "config.json", *FILES}


def test_each_network_has_only_its_own_tower(exported: Exported) -> None:
    folder, bundle = exported(FAST)
    model = hf.AutoModel.from_pretrained(folder)
    for tower, name in ((model.vision_model, "image.onnx"), (model.text_model, "text.onnx")):
        size = 4 * sum(parameter.numel() for parameter in tower.parameters())
        assert size < (bundle.folder / name).stat().st_size < size + 60_000


@pytest.mark.slow
def test_siglip_pads_all_texts_to_one_length(exported: Exported) -> None:
    _, bundle = exported("siglip")
    for text in ("a dog", TEXTS[3]):
        assert bundle.ids([text])[0].shape == (1, WORDS)
    assert bundle.preprocessing == Preprocessing(SIZE, scale=3)


@pytest.mark.slow
def test_the_probability_of_a_match_is_siglips(exported: Exported) -> None:
    folder, bundle = exported("siglip, gemma")
    photo = draw_scene(1).resize((120, 90))
    model = hf.AutoModel.from_pretrained(folder).eval()
    tokens = hf.AutoTokenizer.from_pretrained(folder)(
        TEXTS[0], padding="max_length", return_tensors="pt"
    )
    pixels = hf.AutoImageProcessor.from_pretrained(folder)(photo, return_tensors="pt")
    with torch.inference_mode():
        logit = model(**tokens, **pixels).logits_per_image.item()
    explanation = bundle.explain(photo, TEXTS[0])
    assert explanation.probability == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-4)
    assert explanation.is_whole and explanation.words == []
    again = type(explanation).from_dict(explanation.as_dict())
    assert again.probability == explanation.probability


def test_without_probabilities_an_explanation_has_none(exported: Exported) -> None:
    explanation = exported(FAST)[1].explain(draw_scene(0), "a dog")
    assert explanation.probability is None
    assert [level.name for level in explanation.levels] == ["context"]


@pytest.mark.slow
def test_exporting_again_gives_the_same_bundle(exported: Exported, tmp_path: Path) -> None:
    """So an index still opens after the cache was cleared and the model exported again."""
    folder, bundle = exported(FAST)
    again = export_dual_encoder(HubModel.find(folder), tmp_path / "again")
    assert Bundle.load(again).id == bundle.id


@pytest.mark.slow
def test_languages_and_licence_are_kept(model_folder: Path, tmp_path: Path) -> None:
    (model_folder / "README.md").write_text(
        "---\nlanguage:\n- en\n- zh\nlicense: mit\n---\n# A model\n", encoding="utf-8"
    )
    bundle = Bundle.load(export_dual_encoder(HubModel.find(model_folder), tmp_path / "out"))
    assert bundle.languages == ("en", "zh")
    card = (bundle.folder / "README.md").read_text(encoding="utf-8")
    assert "license: mit" in card and "en, zh" in card
    assert USE in card and "where a sentence is in a photo: patch tokens of CLIP, without" in card


@pytest.mark.slow
def test_compact_weights(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, plain = exported(FAST)
    monkeypatch.setattr("hgan.export.compact.SMALLEST", 500)  # the model has no larger ones
    out = export_dual_encoder(HubModel.find(folder), tmp_path / "out", compact_weights=True)
    small = Bundle.load(out)
    for tower in ("image.onnx", "text.onnx"):
        sizes = [(each.folder / tower).stat().st_size for each in (small, plain)]
        assert sizes[0] < 0.7 * sizes[1]
    found = small.encode_text(TEXTS).context @ plain.encode_text(TEXTS).context.T
    np.testing.assert_allclose(np.diag(found), 1, atol=2e-3)
    pixels = plain.preprocessing.sample()
    ours, theirs = (each.encode_with_patches(pixels)[1] for each in (small, plain))
    np.testing.assert_allclose((ours * theirs).sum(axis=1), 1, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("compact", [False, True])
def test_large_weights_have_a_file_of_their_own(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compact: bool
) -> None:
    folder, plain = exported(FAST)
    monkeypatch.setattr("hgan.export.write.LARGE", 1000)
    bundle = Bundle.load(export_dual_encoder(HubModel.find(folder), tmp_path / "out", compact))
    names = {file.name for file in bundle.folder.glob("*.data")}
    assert names == (set() if compact else {"image.onnx.data", "text.onnx.data"})
    assert set(bundle.config.files) == FILES | names
    if not compact:
        assert (bundle.folder / "image.onnx").stat().st_size < 100_000
        found, expected = (each.encode_text(TEXTS).context for each in (bundle, plain))
        np.testing.assert_allclose(found, expected, atol=1e-6)


# --- bad input


def refused(folder: Path, message: str, kind: type[Exception] = ConfigError) -> None:
    """The export raises this error, and writes nothing."""
    out = folder.parent / "bundle"
    with pytest.raises(kind, match=message) as error:
        export_model(HubModel.find(folder), out)
    assert str(folder) in str(error.value)
    assert not out.exists()


def edit(file: Path, **values: object) -> None:
    found = json.loads(file.read_text()) | values
    file.write_text(json.dumps({key: v for key, v in found.items() if v is not None}))


@pytest.mark.parametrize("kind", ["clip_vision_model", "bert", "blip", "no_such_model"])
def test_another_class_is_refused_with_what_is_supported(model_folder: Path, kind: str) -> None:
    edit(model_folder / "config.json", model_type=kind)
    refused(model_folder, f"class {kind}; .*CLIP, SigLIP, AltCLIP.*hgan train")


def test_code_of_a_repository_is_not_run(model_folder: Path) -> None:
    (model_folder / "code.py").write_text("raise SystemExit('it was run')")
    auto = {"AutoConfig": "code.Config", "AutoModel": "code.Model"}
    edit(model_folder / "config.json", model_type="special", auto_map=auto)
    refused(model_folder, "special, whose code is in its repository and is not run")


def test_pickled_weights_are_not_read(model_folder: Path) -> None:
    model = hf.AutoModel.from_pretrained(model_folder)
    torch.save(model.state_dict(), model_folder / "pytorch_model.bin")
    (model_folder / "model.safetensors").unlink()
    refused(model_folder, "must be in safetensors form")


def test_damaged_weights(model_folder: Path) -> None:
    (model_folder / "model.safetensors").write_bytes(b"damaged")
    refused(model_folder, "weights cannot be loaded")


def test_weights_left_out(model_folder: Path) -> None:
    model = hf.AutoModel.from_pretrained(model_folder)
    kept = {key: v for key, v in model.state_dict().items() if "visual_projection" not in key}
    model.save_pretrained(model_folder, state_dict=kept)
    refused(model_folder, r"no values for 1 weights, the first is visual_projection")


def test_no_image_processor(model_folder: Path) -> None:
    for name in ("preprocessor_config.json", "processor_config.json"):
        (model_folder / name).unlink(missing_ok=True)
    refused(model_folder, "no image processor")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": {"height": 32, "width": 48}, "do_center_crop": False}, "32 x 48 is not a square"),
        ({"do_center_crop": False}, "it resizes photos to"),
        ({"do_resize": False}, "does not resize"),
        ({"size": {"shortest_edge": 20}}, "shorter_side must be"),
        ({"do_pad": True, "pad_size": {"height": 64, "width": 64}}, "has a step"),
    ],
)
def test_preprocessing_that_is_not_supported(
    model_folder: Path, settings: dict[str, object], message: str
) -> None:
    edit(model_folder / "preprocessor_config.json", **settings)
    refused(model_folder, message)


def test_no_tokenizer(model_folder: Path) -> None:
    for file in model_folder.glob("*token*"):
        file.unlink()
    for name in ("vocab.json", "merges.txt", "special_tokens_map.json"):
        (model_folder / name).unlink(missing_ok=True)
    refused(model_folder, "tokenizer")


def test_a_damaged_tokenizer(model_folder: Path) -> None:
    (model_folder / "tokenizer.json").write_text("{}")
    refused(model_folder, "no tokenizer that can be loaded")


def test_the_tokenizer_of_another_model(model_folder: Path) -> None:
    config = json.loads((model_folder / "config.json").read_text())
    tokenizer = hf.AutoTokenizer.from_pretrained(model_folder)
    tokenizer.add_tokens(["unknown to the tower"])
    tokenizer.save_pretrained(model_folder)
    refused(model_folder, f"its text tower {config['text_config']['vocab_size']}")


def test_a_tokenizer_with_only_a_slow_form(model_folder: Path) -> None:
    for file in model_folder.glob("*token*"):
        file.unlink()
    (model_folder / "vocab.json").write_text(json.dumps({"a": 0, "b": 1, "<unk>": 2}))
    (model_folder / "merges.txt").write_text("#version: 0.2\n")
    settings = {"tokenizer_class": "CTRLTokenizer", "unk_token": "<unk>"}
    (model_folder / "tokenizer_config.json").write_text(json.dumps(settings))
    refused(model_folder, "CTRLTokenizer has only a slow form")


def test_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no model here", DataError)


def test_a_bundle_is_not_exported_again(exported: Exported) -> None:
    with pytest.raises(ConfigError, match="a bundle already"):
        export_model(HubModel.find(exported(FAST)[1].folder), Path("unused"))
