"""What a run is trained and validated on: never the test split, nor features of another kind."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hgan.errors import ConfigError, DataError
from hgan.evaluation.evaluate import evaluate
from hgan.model.io import load_checkpoint
from hgan.training.config import Config
from hgan.training.folder import run_folder
from hgan.training.trainer import Trainer, train
from tests.fixtures.runs import FAST, assert_same, finished, tiny_run
from tests.fixtures.tiny_model import tiny_dataset


@pytest.mark.parametrize("wrong", [{"grid": 4}, {"size": 64}])
def test_settings_that_differ_from_the_features_are_refused_at_the_start(
    folder: Path, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    config = tiny_run(folder, tmp_path, vision=wrong)
    ((name, value),) = wrong.items()
    with pytest.raises(ConfigError, match=rf"vision.{name}: {value}, but .*run `hgan extract`"):
        train(config)
    assert not list(tmp_path.iterdir())


def test_features_of_another_backbone_are_refused(folder: Path, tmp_path: Path) -> None:
    config = tiny_run(folder, tmp_path, vision={"backbone": "another"})
    with pytest.raises(DataError, match="made with tiny, but another is required"):
        train(config)
    assert not run_folder(config).exists()


def test_photos_of_coco_mini_val_are_not_trained_on(folder: Path, tmp_path: Path) -> None:
    """Said before the features are opened, since they may not exist yet."""
    file = tmp_path / "captions.jsonl"
    file.write_text('{"image": "000000000139.jpg", "captions": ["a room"], "split": "val"}\n')
    config = tiny_run(folder, tmp_path / "run")
    data = replace(config.data, captions=file, features=tmp_path / "nothing")
    with pytest.raises(ConfigError, match=r"1 of the 1 photos to train on are .*coco_mini_val"):
        train(replace(config, data=data))
    assert not config.run.exists()


def rewritten(folder: Path, file: Path, where: str, **changes: Any) -> Path:
    """The captions, with changes to the photos of one split."""
    lines = (folder / "captions.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    changed = [r | changes if r["split"] == where else r for r in records]
    file.write_text("".join(f"{json.dumps(record)}\n" for record in changed))
    return file


def test_a_run_is_validated_on_val_or_not_at_all(folder: Path, tmp_path: Path) -> None:
    config = tiny_run(folder, tmp_path / "run")
    file = rewritten(folder, tmp_path / "captions.jsonl", "val", split="test")
    with pytest.raises(DataError, match="no photo is in split 'val'"):
        train(replace(config, data=replace(config.data, captions=file)))


@pytest.mark.slow
def test_a_run_does_not_read_the_test_split(folder: Path, tmp_path: Path, whole: Config) -> None:
    """Whatever its captions say, the run stays the same bit for bit."""
    file = rewritten(folder, tmp_path / "captions.jsonl", "test", captions=["nonsense"])
    config = replace(whole, run=tmp_path / "run", data=replace(whole.data, captions=file))
    train(config)
    one, other = finished(whole), finished(config)
    assert_same(one | {"settings": None}, other | {"settings": None})


def test_the_test_split_has_no_part_in_training(folder: Path, tmp_path: Path) -> None:
    config = tiny_run(folder, tmp_path / "all", optim=FAST)
    lines = (folder / "captions.jsonl").read_text().splitlines(keepends=True)
    cut = tmp_path / "captions.jsonl"
    cut.write_text("".join(line for line in lines if '"split": "test"' not in line))
    less = replace(config, run=tmp_path / "less", data=replace(config.data, captions=cut))
    train(config)
    train(less)
    weights = (load_checkpoint(run_folder(c) / "best").network.state_dict() for c in (config, less))
    assert_same(*map(dict, weights))


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_validation_and_evaluation_give_the_same_figures(
    folder: Path, tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Autocast and states of 16 bits make training faster; no figure is measured with them."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    frozen = {"trainable_layers": 0}
    config = tiny_run(folder, tmp_path, text=frozen, optim=FAST | {"precision": precision})
    trainer = Trainer(config, resume=False)
    assert trainer.train_data.frozen_cache is not None
    cache = trainer.val_data[0].frozen_cache
    assert cache is not None and cache[0].dtype == torch.float32
    result = trainer.run(stop_after=None)
    model = load_checkpoint(result.best)
    found = evaluate(model.network, tiny_dataset(config, model, "val"))
    assert {name: m.rsum for name, m in found.items()} == {
        name: m.rsum for name, m in trainer.metrics.items()
    }
