"""Checkpoints: a loaded model equals the saved one; damage and newer formats are refused."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hgan.config import TextConfig, VisionConfig
from hgan.data.batches.types import ImageBatch
from hgan.errors import ConfigError, DataError
from hgan.evaluation.evaluate import encode
from hgan.files import CHECKSUMS, write_checksums
from hgan.model.hgan import HGAN, HGANConfig
from hgan.model.io import FORMAT_VERSION, TrainedModel, load_checkpoint
from hgan.training.config import Config
from hgan.vision.load import backbone_of
from tests.fixtures.networks import assert_equal
from tests.fixtures.tiny_model import tiny_config, tiny_dataset, tiny_model


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return tiny_config(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model(config: Config) -> TrainedModel:
    made = tiny_model(config)
    made.network.set_weights({"context": 0.5, "shared": 0.1, "local": 0.4})
    made.facts = {"seed": 3, "rSum on val": {"S": 301.25}}
    return made


@pytest.fixture
def saved(model: TrainedModel, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_what_is_loaded_encodes_the_same(config: Config, model: TrainedModel, saved: Path) -> None:
    model.network.eval()
    data = tiny_dataset(config, model, "val")
    expected = encode(model.network, data)
    for loaded in (load_checkpoint(saved), TrainedModel.from_pretrained(saved)):
        assert not loaded.network.training
        for one, other in zip(encode(loaded.network, data), expected, strict=True):
            assert_equal(one, other, tolerance=0)
        assert loaded.network.weights == model.network.weights
        assert (loaded.boxes == model.boxes).all() and loaded.boxes.dtype == model.boxes.dtype
        assert loaded.vision == model.vision and loaded.text == model.text
        assert loaded.facts == model.facts
        assert loaded.tokenizer.to_str() == model.tokenizer.to_str()


def test_a_loaded_model_can_be_saved_again(saved: Path, tmp_path: Path) -> None:
    TrainedModel.from_pretrained(saved).save_pretrained(tmp_path / "again")
    for name in ("config.json", "README.md", "tokenizer.json"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()
    first, again = (load_checkpoint(f).network.state_dict() for f in (saved, tmp_path / "again"))
    assert all(torch.equal(again[name], tensor) for name, tensor in first.items())


def test_a_kill_while_saving_leaves_the_old_model(
    model: TrainedModel, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    monkeypatch.setattr("hgan.model.io.save_model", killed)
    with pytest.raises(KeyboardInterrupt):
        model.save_pretrained(saved)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_weights_are_synced_when_they_are_saved(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def sync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    model.save_pretrained(tmp_path / "model")
    assert {"model.safetensors", "tokenizer.json", "README.md", "config.json"} <= set(synced)
    assert synced[-1] == tmp_path.name


def test_towers_still_share_mfar_after_loading(saved: Path) -> None:
    network = load_checkpoint(saved).network
    assert network.image_tower.aggregation is network.text_tower.aggregation


def test_nothing_is_pickled(saved: Path) -> None:
    assert {p.name for p in saved.iterdir()} == {
        "config.json",
        "README.md",
        "tokenizer.json",
        "model.safetensors",
        CHECKSUMS,
    }
    for file in saved.iterdir():
        assert not file.read_bytes().startswith((b"\x80", b"PK"))  # a pickle, torch's zip


def change(saved: Path, **values: object) -> None:
    """Edit the settings, as on purpose: with the checksums of what is there afterwards."""
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | values))
    write_checksums(saved, json.loads((saved / CHECKSUMS).read_text()))


def test_a_newer_format_is_refused(saved: Path) -> None:
    change(saved, format_version=FORMAT_VERSION + 1)
    with pytest.raises(DataError, match="newer version of hgan; upgrade"):
        load_checkpoint(saved)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "garbage"])
@pytest.mark.parametrize("checksums", [True, False], ids=["checksums", "older"])
def test_a_damaged_checkpoint_is_refused_by_name(
    saved: Path, name: str, damage: str, checksums: bool
) -> None:
    file = saved / name
    if not checksums:
        (saved / CHECKSUMS).unlink()
    content = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes(
            {"empty": b"", "cut": content[: len(content) // 2]}.get(damage, b"\0" * 99)
        )
    where = saved if (damage, name) == ("missing", "config.json") else file
    with pytest.raises(DataError, match=f"^{where}: "):
        load_checkpoint(saved)


@pytest.mark.parametrize(
    "values",
    [
        {"image_width": 17},
        {"vision": {"no_such_setting": 1}},
        {"encoder": {}},
        {"boxes": "none"},
        {"format_version": "one"},
    ],
    ids=lambda values: next(iter(values)),
)
def test_settings_that_do_not_fit_the_weights_are_refused(saved: Path, values: dict) -> None:
    change(saved, **values)
    with pytest.raises(DataError, match="damaged or incomplete"):
        load_checkpoint(saved)


def test_weights_of_another_model_are_refused(saved: Path, config: Config, tmp_path: Path) -> None:
    other = tiny_config(config.data.captions.parent, model={"slots": 3})
    tiny_model(other).save_pretrained(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", saved)
    with pytest.raises(DataError, match=r"model.safetensors: damaged, its checksum"):
        load_checkpoint(saved)
    (saved / CHECKSUMS).unlink()
    with pytest.raises(DataError, match="damaged or incomplete"):
        load_checkpoint(saved)


def test_a_folder_without_a_model_says_where_one_would_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"runs/NAME/best"):
        load_checkpoint(tmp_path)


OLD_MODEL = {
    "name": "hgan",
    "levels": ["context", "shared", "local"],
    "image_graph": True,
    "text_graph": True,
    "mfar": True,
    "width": 24,
    "node_width": 16,
    "graph_layers": 2,
    "slots": 2,
    "slot_width": 8,
    "local_width": 8,
    "dropout": 0.2,
    "attention": "t2i",
    "aggregation": "mean",
    "reasoning": "sgr",
    "similarity_width": 256,
}
"""A model's settings in format 1: those of all matchers, whichever it is."""


def test_a_checkpoint_of_format_1_is_read(model: TrainedModel, saved: Path) -> None:
    change(saved, format_version=1, model=OLD_MODEL)
    loaded = load_checkpoint(saved)
    assert loaded.network.config == model.network.config
    weights = model.network.state_dict()
    assert all(torch.equal(weights[n], w) for n, w in loaded.network.state_dict().items())


@pytest.mark.parametrize("name", ["vse++", "vse_infinity", "scan", "sgraf"])
def test_each_baseline_of_format_1_is_read(name: str, config: Config, tmp_path: Path) -> None:
    other = tiny_config(config.data.captions.parent, model={"name": name})
    tiny_model(other).save_pretrained(tmp_path)
    width = {"similarity_width": other.model.similarity_width} if name == "sgraf" else {}
    change(tmp_path, format_version=1, model=OLD_MODEL | {"name": name} | width)
    assert load_checkpoint(tmp_path).network.config == other.model


def test_a_matcher_that_is_not_registered_is_named(saved: Path) -> None:
    settings = json.loads((saved / "config.json").read_text())["model"]
    change(saved, model=settings | {"name": "somebody_else's"})
    with pytest.raises(DataError, match=r"somebody_else's.*not registered.*--plugin FILE.py"):
        load_checkpoint(saved)


def test_a_checkpoint_of_format_2_is_read(model: TrainedModel, saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    del config["prior"], config["vision"]["trainable_layers"]
    names = ("prior", "prior_width", "prior_local_width", "prior_share")
    config["model"] = {key: x for key, x in config["model"].items() if key not in names}
    (saved / "config.json").write_text(json.dumps(config | {"format_version": 2}))
    (saved / CHECKSUMS).unlink()
    weights = model.network.state_dict()
    loaded = load_checkpoint(saved)
    assert all(torch.equal(weights[n], w) for n, w in loaded.network.state_dict().items())


def test_a_checkpoint_with_the_old_name_of_a_setting_is_read(saved: Path) -> None:
    vision = json.loads((saved / "config.json").read_text())["vision"]
    change(saved, vision={"trained_blocks": vision.pop("trainable_layers"), **vision})
    assert load_checkpoint(saved).vision.trainable_layers == 0


# --- the prior, and trained layers of the backbone


LITE = VisionConfig(backbone="efficientnet-lite2", size=64, grid=2)
WITH_PRIOR = HGANConfig(
    width=24, node_width=16, slots=2, slot_width=8, local_width=8, prior="classes",
    prior_width=12, prior_local_width=6,
)  # fmt: skip


def seen_by(vision: VisionConfig) -> ImageBatch:
    """Features of two photos of noise."""
    pixels = torch.randint(0, 256, (2, 64, 64, 3), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = backbone_of(vision).eval()(pixels.to(torch.uint8))
    mask = torch.ones(found.regions.shape[:2], dtype=torch.bool)
    return ImageBatch(found.regions, found.context, mask, None, found.maps)


@pytest.mark.parametrize("blocks", [0, 2])
@pytest.mark.parametrize("trainable", [0, 1, None])
def test_a_model_with_prior_and_trainable_layers_is_loaded_as_it_was_saved(
    config: Config, tmp_path: Path, blocks: int, trainable: int | None
) -> None:
    vision = replace(LITE, trainable_layers=blocks)
    text = replace(config.text, trainable_layers=trainable)
    made = TrainedModel.create(WITH_PRIOR, vision, text, 1280, None)
    with torch.no_grad():  # as after training
        for parameter in made.network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    made.network.eval()
    made.save_pretrained(tmp_path / "model")
    loaded = load_checkpoint(tmp_path / "model")
    assert isinstance(loaded.network, HGAN) and loaded.network.prior is not None
    assert (loaded.network.vision is None) == (blocks == 0)
    images, texts = seen_by(vision), tiny_dataset(config, made, "val").texts([0, 3, 5])
    assert_equal(loaded.network.encode_image(images), made.network.encode_image(images), 0)
    assert_equal(loaded.network.encode_text(texts), made.network.encode_text(texts), 1e-6)
    saved = made.network.state_dict()
    assert saved.keys() == loaded.network.state_dict().keys()
    assert all(torch.equal(saved[n], x) for n, x in loaded.network.state_dict().items())


def test_blocks_without_a_prior(config: Config, tmp_path: Path) -> None:
    vision = replace(LITE, trainable_layers=1)
    made = TrainedModel.create(replace(WITH_PRIOR, prior="none"), vision, config.text, 1280, None)
    made.network.eval()
    made.save_pretrained(tmp_path / "model")
    loaded = load_checkpoint(tmp_path / "model")
    assert loaded.network.vision is not None and loaded.network.prior is None
    images = seen_by(vision)
    assert images.maps is not None
    found, frozen = loaded.network.vision(images.maps), seen_by(LITE)
    torch.testing.assert_close(found.regions, frozen.regions, atol=1e-4, rtol=1e-4)
    encoded, direct = loaded.network.encode_photos(images), loaded.network.encode_image(frozen)
    torch.testing.assert_close(encoded.context, direct.context, atol=1e-4, rtol=1e-4)
    with pytest.raises(DataError, match=r"trained layers .* vision.trainable_layers"):
        loaded.network.encode_photos(frozen)


BIGRU = TextConfig(encoder="bigru", trainable_layers=None)


@pytest.mark.parametrize(
    ("vision", "text", "reason"),
    [
        (VisionConfig(backbone="some/model"), None, "some/model has no classifier"),
        (VisionConfig(backbone="precomputed"), None, "precomputed has no classifier"),
        (VisionConfig(backbone="efficientnet-lite0"), BIGRU, "bigru is not pretrained"),
    ],
    ids=["hub", "precomputed", "bigru"],
)
def test_a_model_that_can_have_no_prior_says_so_once_and_has_none(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    vision: VisionConfig, text: TextConfig | None, reason: str,
) -> None:  # fmt: skip
    """The backbone is not loaded: none of these is installed."""
    text = text or config.text
    made = TrainedModel.create(WITH_PRIOR, vision, text, 16, None, texts=["a red dog", "a cat"])
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("model.prior:") == 1
    assert f"{reason}" in said and "so the model has no prior" in said
    assert isinstance(made.network, HGAN)
    assert made.network.prior is None and not made.network.text.keeps_pretrained
    assert WITH_PRIOR.prior == "classes"  # the settings of the run are as they were
    made.save_pretrained(tmp_path / "model")
    written = json.loads((tmp_path / "model" / "config.json").read_text())
    assert written["prior"] is None and written["model"]["prior"] == "none"
    loaded = load_checkpoint(tmp_path / "model").network
    assert isinstance(loaded, HGAN) and loaded.prior is None
    images = ImageBatch(torch.randn(2, 4, 16), torch.randn(2, 16), torch.ones(2, 4).bool(), None)
    assert loaded.encode_image(images).context.shape == (2, 24)


def test_class_names_that_do_not_fit_the_classifier(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hgan.vision.efficientnet_lite.imagenet_classes", lambda: ["dog"] * 999)
    made = TrainedModel.create(WITH_PRIOR, LITE, config.text, 1280, None)
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("efficientnet-lite2 has no classifier with a name for each class") == 1
    assert isinstance(made.network, HGAN) and made.network.prior is None


def test_a_prior_with_more_components_than_there_are(config: Config) -> None:
    with pytest.raises(ConfigError, match=r"prior_width: 33, .* at most 32 components"):
        TrainedModel.create(replace(WITH_PRIOR, prior_width=33), LITE, config.text, 1280, None)


def test_a_model_without_a_prior_says_nothing_about_it(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_model(config)
    assert "prior" not in capsys.readouterr().err
