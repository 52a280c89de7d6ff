"""Files that are damaged, or made by somebody else: refused by name, and nothing in them is run."""

import json
import pickle
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hgan.data.features.open import open_features
from hgan.data.features.store import FeatureStore, FeatureWriter
from hgan.errors import DataError
from hgan.files import CHECKSUMS, write_checksums
from hgan.model.io import load_checkpoint
from hgan.training.checkpoint import load_state
from hgan.training.config import Config
from hgan.training.folder import run_folder
from hgan.training.trainer import train
from tests.fixtures.runs import contents
from tests.fixtures.tiny_model import tiny_config


def damages(file: Path, rng: random.Random) -> Iterator[str]:
    """Damage a file in several ways, one after another; it is as before at the end."""
    content = file.read_bytes()
    for _ in range(12):
        place, bit = rng.randrange(len(content)), 1 << rng.randrange(8)
        damaged = bytearray(content)
        damaged[place] ^= bit
        file.write_bytes(damaged)
        yield f"bit {bit} of byte {place}"
    for length in (0, 1, 7, 8, 100, len(content) // 2, len(content) - 2):
        file.write_bytes(content[:length])
        yield f"the first {length} of {len(content)} bytes"
    file.write_bytes(content)


def refused_by_name(file: Path, read: Callable[[], object], fix: str) -> None:
    for damage in damages(file, random.Random(0)):
        try:
            read()
        except DataError as error:
            assert str(file) in str(error) and fix in str(error), damage
        else:
            pytest.fail(f"{file}: {damage}, and it was read")
    read()


@pytest.fixture
def run(two: Config, tmp_path: Path) -> Path:
    """The folder of a finished run."""
    folder = tmp_path / "seed1"
    for name, content in contents(run_folder(two)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json"])
def test_a_damaged_state(run: Path, name: str) -> None:
    refused_by_name(run / "last" / name, lambda: load_state(run / "last"), "train again")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_checkpoint(run: Path, name: str) -> None:
    refused_by_name(run / "best" / name, lambda: load_checkpoint(run / "best"), "copy the check")


@pytest.mark.parametrize("folder", ["last", "best"])
def test_damaged_checksums(run: Path, folder: str) -> None:
    """They are refused, or the file whose checksum is damaged."""
    read = {"last": load_state, "best": load_checkpoint}[folder]
    for damage in damages(run / folder / CHECKSUMS, random.Random(1)):
        with pytest.raises(DataError, match=str(run / folder)):
            read(run / folder)
            pytest.fail(damage)
    read(run / folder)


def test_checksums_of_files_elsewhere(run: Path) -> None:
    """Files outside the folder are not read, not even to compare them."""
    for name in ("../best/model.safetensors", "/dev/zero"):
        (run / "best" / CHECKSUMS).write_text(json.dumps({name: "0" * 64}))
        with pytest.raises(DataError, match="not checksums by file name"):
            load_checkpoint(run / "best")


@pytest.mark.parametrize("name", ["regions.npy", "context.npy", "manifest.json"])
def test_damaged_features(tmp_path: Path, name: str) -> None:
    folder = tiny_config(tmp_path).data.features
    refused_by_name(folder / name, lambda: FeatureStore(folder), "extract again")


def test_features_that_were_extracted_again_with_another_width(
    two: Config, run: Path, tmp_path: Path
) -> None:
    """The settings are the same, but the state does not fit."""
    store = FeatureStore(two.data.features)
    manifest = replace(store.manifest, width=8, checksums={}, rows_done=0)
    features = np.random.default_rng(0).normal(size=(len(manifest.ids), 2, 4, 8))
    with FeatureWriter(tmp_path / "features", manifest) as writer:
        writer.write(features, features.mean(2), {})
        writer.finish()
    config = replace(two, run=run.parent)
    state = json.loads((run / "last" / "state.json").read_text())
    assert str(two.data.features) in json.dumps(state)
    edited = json.dumps(state).replace(str(two.data.features), str(tmp_path / "features"))
    (run / "last" / "state.json").write_text(edited)
    write_checksums(run / "last", ("state.json", "tensors.safetensors"))
    config = replace(config, data=replace(config.data, features=tmp_path / "features"))
    with pytest.raises(DataError, match=r"last: does not fit the model .* features changed\?"):
        train(config, resume=True)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def as_pickle(file: Path, bomb: Bomb) -> None:
    file.write_bytes(pickle.dumps(bomb))


def as_torch(file: Path, bomb: Bomb) -> None:
    torch.save({"state": bomb}, file)


def as_numpy(file: Path, bomb: Bomb) -> None:
    with file.open("wb") as opened:
        np.save(opened, np.array([bomb], dtype=object), allow_pickle=True)


def unpickle(file: Path) -> None:
    """What a careless program does."""
    if file.read_bytes().startswith(b"PK"):
        torch.load(file, weights_only=False)
    else:
        np.load(file, allow_pickle=True)  # also reads plain pickles


@pytest.mark.parametrize("write", [as_pickle, as_torch, as_numpy])
def test_nothing_is_unpickled(
    run: Path, tmp_path: Path, write: Callable[[Path, Bomb], None]
) -> None:
    """Also without checksums, as in the files of older versions, or after they were removed."""
    bomb = Bomb(tmp_path / "exploded")
    write(tmp_path / "test", bomb)
    unpickle(tmp_path / "test")
    assert bomb.marker.exists()  # the bomb works
    bomb.marker.unlink()

    features = tiny_config(tmp_path / "data").data.features
    readers: dict[Path, Callable[[], object]] = {
        run / "last": lambda: load_state(run / "last"),
        run / "best": lambda: load_checkpoint(run / "best"),
        features: lambda: open_features(features, "tiny"),
    }
    for folder, read in readers.items():
        (folder / CHECKSUMS).unlink(missing_ok=True)
        files = [file for file in folder.iterdir() if file.suffix != ".md"]
        assert len(files) >= 2
        for file in files:
            content = file.read_bytes()
            write(file, bomb)
            with pytest.raises(DataError, match=str(file)):
                read()
            file.write_bytes(content)
        for name in ("pytorch_model.bin", "optimizer.pt", "weights.pkl"):
            write(folder / name, bomb)
        read()
    assert not bomb.marker.exists()


def test_no_code_comes_from_a_checkpoint(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its text encoder names a Python file, as models on the hub can; nobody is asked either."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question on the terminal"))
    (tmp_path / "code").mkdir()
    code = f"import pathlib\npathlib.Path({str(tmp_path / 'exploded')!r}).touch()\n"
    (tmp_path / "code" / "modeling.py").write_text(code)
    file = run / "best" / "config.json"
    values = json.loads(file.read_text())
    for kind in ("bert", "timm_backbone", "encoder-decoder"):
        names = {
            name: f"{tmp_path / 'code'}--modeling.Model" for name in ("AutoModel", "AutoConfig")
        }
        values["encoder"] |= {"model_type": kind, "auto_map": names}
        file.write_text(json.dumps(values))
        write_checksums(run / "best", ("config.json", "tokenizer.json", "model.safetensors"))
        if kind == "bert":
            load_checkpoint(run / "best")
        else:
            with pytest.raises(DataError, match=r"config\.json: damaged or incomplete"):
                load_checkpoint(run / "best")
    assert not (tmp_path / "exploded").exists()
