"""Checkpoints: a loaded model equals the saved one; damage and newer formats are refused."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from hgan.errors import DataError
from hgan.evaluation.evaluate import encode
from hgan.model.io import FORMAT_VERSION, TrainedModel, load_checkpoint
from hgan.training.config import Config
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
    }
    for file in saved.iterdir():
        assert not file.read_bytes().startswith((b"\x80", b"PK"))  # a pickle, torch's zip


def change(saved: Path, **values: object) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | values))


def test_a_newer_format_is_refused(saved: Path) -> None:
    change(saved, format_version=FORMAT_VERSION + 1)
    with pytest.raises(DataError, match="newer version of hgan; upgrade"):
        load_checkpoint(saved)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "garbage"])
def test_a_damaged_checkpoint_is_refused_by_name(saved: Path, name: str, damage: str) -> None:
    file = saved / name
    content = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes(
            {"empty": b"", "cut": content[: len(content) // 2]}.get(damage, b"\0" * 99)
        )
    with pytest.raises(DataError, match=str(saved)):
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
    with pytest.raises(DataError, match="damaged or incomplete"):
        load_checkpoint(saved)


def test_a_folder_without_a_model_says_where_one_would_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"runs/NAME/best"):
        load_checkpoint(tmp_path)


OLD_MODEL = {
    "name": "hgan", "levels": ["context", "shared", "local"], "image_graph": True,
    "text_graph": True, "mfar": True, "width": 24, "node_width": 16, "graph_layers": 2, "slots": 2,
    "slot_width": 8, "local_width": 8, "dropout": 0.2, "attention": "t2i", "aggregation": "mean",
    "reasoning": "sgr", "similarity_width": 256,
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
