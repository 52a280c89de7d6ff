"""The training loop on tiny data: it learns, and a resumed run equals an uninterrupted one."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from hgan.data.batches.prefetch import prefetch
from hgan.errors import ConfigError, DataError, TrainingError
from hgan.evaluation.evaluate import evaluate
from hgan.model.io import load_checkpoint
from hgan.training.batch_loss import BatchLoss
from hgan.training.checkpoint import load_state, save_state
from hgan.training.config import Config
from hgan.training.folder import run_folder
from hgan.training.losses.hinge import HingeConfig
from hgan.training.losses.infonce import InfoNCEConfig
from hgan.training.trainer import Trainer, train
from tests.fixtures.runs import CLOCK, assert_same, assert_same_run, finished
from tests.fixtures.tiny_model import tiny_config, tiny_dataset

FAST = {"epochs": 1, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    tiny_config(made)
    return made


def settings(folder: Path, run: Path, **sections: dict[str, Any]) -> Config:
    return replace(tiny_config(folder, **sections), run=run)


@pytest.mark.parametrize("wrong", [{"grid": 4}, {"size": 64}])
def test_settings_that_differ_from_the_features_are_refused_at_the_start(
    folder: Path, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    config = settings(folder, tmp_path, vision=wrong)
    ((name, value),) = wrong.items()
    with pytest.raises(ConfigError, match=rf"vision.{name}: {value}, but .*run `hgan extract`"):
        train(config)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Four epochs without a break, with dropout, augmentation, averaging, views."""
    config = settings(folder, tmp_path_factory.mktemp("whole"), optim={"epochs": 4})
    assert config.model.dropout and config.optim.region_drop and config.optim.word_drop
    assert config.optim.ema and config.vision.views == 2
    train(config)
    return config


def test_two_and_two_epochs_equal_four_bit_for_bit(whole: Config, tmp_path: Path) -> None:
    broken = replace(whole, run=tmp_path)
    train(broken, stop_after=2)
    assert len(load_state(run_folder(broken) / "last")["history"]) == 2
    train(broken, resume=True)
    assert_same_run(whole, broken)


def test_the_same_run_twice_is_the_same_and_another_seed_is_not(
    whole: Config, tmp_path: Path
) -> None:
    again = replace(whole, run=tmp_path)
    train(again)
    assert_same_run(whole, again)
    other = replace(again, seed=2)
    train(other, stop_after=1)
    first, second = (load_state(run_folder(c) / "last")["history"] for c in (whole, other))
    assert first[0]["loss"] != second[0]["loss"]


KILL = """
import os, signal, sys
from pathlib import Path
from hgan.training import checkpoint, trainer
from tests.fixtures.runs import CLOCK, assert_same, assert_same_run, finished
from tests.fixtures.tiny_model import tiny_config
from dataclasses import replace

def dies(function, calls):
    left = [calls]
    def wrapped(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return wrapped

folder, run, when = sys.argv[1:]
if when == "in an epoch":  # the second step of the third epoch
    trainer.Trainer._step = dies(trainer.Trainer._step, 4 * 2 + 2)
if when == "between renames":  # `last` moved away, the new one not yet in its place
    renames = []
    rename = Path.rename
    def slow(self, target):
        if self.name == ".last.new" and Path(target).with_name(".last.old").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(self, target)
    Path.rename = slow
trainer.train(replace(tiny_config(Path(folder), optim={"epochs": 4}), run=Path(run)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["in an epoch", "between renames"])
def test_a_killed_run_resumes_as_if_nothing_had_happened(
    whole: Config, folder: Path, tmp_path: Path, when: str
) -> None:
    command = [sys.executable, "-c", KILL, folder, tmp_path, when]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    config = replace(whole, run=tmp_path)
    train(config, resume=True)
    assert_same_run(whole, config)


def test_photos_of_coco_mini_val_are_not_trained_on(folder: Path, tmp_path: Path) -> None:
    """Said before the features are opened, since they may not exist yet."""
    file = tmp_path / "captions.jsonl"
    file.write_text('{"image": "000000000139.jpg", "captions": ["a room"], "split": "val"}\n')
    config = settings(folder, tmp_path / "run")
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
    config = settings(folder, tmp_path / "run")
    file = rewritten(folder, tmp_path / "captions.jsonl", "val", split="test")
    with pytest.raises(DataError, match="no photo is in split 'val'"):
        train(replace(config, data=replace(config.data, captions=file)))


def test_a_run_does_not_read_the_test_split(folder: Path, tmp_path: Path, whole: Config) -> None:
    """Whatever its captions say, the run stays the same bit for bit."""
    file = rewritten(folder, tmp_path / "captions.jsonl", "test", captions=["nonsense"])
    config = replace(whole, run=tmp_path / "run", data=replace(whole.data, captions=file))
    train(config)
    one, other = finished(whole), finished(config)
    assert_same(one | {"settings": None}, other | {"settings": None})


def test_a_run_is_not_overwritten(whole: Config) -> None:
    before = (run_folder(whole) / "log.csv").read_bytes()
    with pytest.raises(ConfigError, match="already contains a run; continue it with --resume"):
        train(whole)
    assert (run_folder(whole) / "log.csv").read_bytes() == before


def test_a_finished_run_resumed_does_nothing(whole: Config) -> None:
    state = run_folder(whole) / "last" / "state.json"
    before = state.stat().st_mtime_ns
    result = train(whole, resume=True)
    assert state.stat().st_mtime_ns == before
    history = load_state(run_folder(whole) / "last")["history"]
    assert result.rsum == max(row["rsum_S"] for row in history)
    assert history[result.epoch - 1]["rsum_S"] == result.rsum


@pytest.mark.parametrize(
    ("section", "values"),
    [("optim", {"learning_rate": 0.1}), ("optim", {"epochs": 9}), ("model", {"dropout": 0.5})],
)
def test_a_run_is_not_resumed_with_other_settings(
    whole: Config, section: str, values: dict[str, Any]
) -> None:
    other = replace(whole, **{section: replace(getattr(whole, section), **values)})
    with pytest.raises(ConfigError, match=f"other settings .*{section}.{next(iter(values))}"):
        train(other, resume=True)


def test_a_run_is_not_resumed_with_another_loss(whole: Config) -> None:
    with pytest.raises(ConfigError, match=r"loss.name: infonce in .*, hinge in"):
        train(replace(whole, loss=HingeConfig()), resume=True)


def test_a_setting_that_is_newer_than_the_run_counts_when_it_is_resumed(
    whole: Config, tmp_path: Path
) -> None:
    """An older version did not write it: the run had its default, and another value is refused."""
    config = replace(whole, run=tmp_path)
    train(config, stop_after=1)
    state = load_state(run_folder(config) / "last")
    del state["settings"]["loss"]["smoothing"]
    save_state(run_folder(config) / "last", state)
    other = replace(config, loss=InfoNCEConfig(smoothing=0.1))
    with pytest.raises(ConfigError, match=r"loss.smoothing: 0.0 in .*, 0.1 in"):
        train(other, resume=True)
    train(config, resume=True, stop_after=1)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_validation_and_evaluation_give_the_same_figures(
    folder: Path, tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen layers and autocast make training faster; no figure is measured with them."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    frozen = {"trainable_layers": 0}
    config = settings(folder, tmp_path, text=frozen, optim=FAST | {"precision": precision})
    trainer = Trainer(config, resume=False)
    assert trainer.train_data.frozen_cache is not None
    assert trainer.val_data[0].frozen_cache is None
    result = trainer.run(stop_after=None)
    model = load_checkpoint(result.best)
    found = evaluate(model.network, tiny_dataset(config, model, "val"))
    assert {name: m.rsum for name, m in found.items()} == {
        name: m.rsum for name, m in trainer.metrics.items()
    }


def test_a_damaged_state_is_not_resumed(whole: Config, folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path, optim=FAST)
    train(config)
    (run_folder(config) / "last" / "tensors.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match=r"tensors\.safetensors: damaged"):
        train(config, resume=True)


def test_a_run_leaves_its_log_curves_settings_and_best_model(whole: Config) -> None:
    folder = run_folder(whole)
    assert {p.name for p in folder.iterdir()} == {
        "best", "last", "log.csv", "curves.png", "config.json", "lock",
    }  # fmt: skip
    with (folder / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert {"loss", "rate", "rsum_context", "rsum_S", *CLOCK} <= set(rows[0])
    assert float(rows[-1]["rate"]) == 0.0 and float(rows[0]["captions_per_second"]) > 0
    with Image.open(folder / "curves.png") as picture:
        assert picture.width > 800
    written = json.loads((folder / "config.json").read_text())
    assert written["data"]["captions"] == str(whole.data.captions) and written["seed"] == 1
    card = (folder / "best" / "README.md").read_text()
    assert "| training photos | 32 |" in card and "| chosen on | val |" in card


@pytest.mark.slow
def test_it_learns(folder: Path, tmp_path: Path) -> None:
    """Nearly every photo and caption finds its own, in training and beyond it."""
    config = settings(
        folder,
        tmp_path,
        text={"trainable_layers": None},
        model={"dropout": 0.0},
        optim={
            "epochs": 32,
            "learning_rate": 0.005,
            "captions_per_image": 3,
            "region_drop": 0.0,
            "word_drop": 0.0,
            "ema": 0.5,
        },
    )
    result = train(config)
    model = load_checkpoint(result.best)
    found = {
        split: evaluate(model.network, tiny_dataset(config, model, split))
        for split in ("train", "val", "test")
    }
    assert found["train"]["S"].rsum > 570
    assert found["val"]["S"].rsum == pytest.approx(result.rsum)
    assert found["test"]["S"].rsum > 500
    levels = ("context", "shared", "local")
    assert all(found["train"][level].rsum > 350 for level in levels)  # by chance about 150
    history = load_state(run_folder(config) / "last")["history"]
    assert history[-1]["loss"] < 0.25 * history[0]["loss"]


@pytest.mark.slow
def test_the_hinge_learns(folder: Path, tmp_path: Path) -> None:
    config = settings(
        folder,
        tmp_path,
        text={"trainable_layers": None},
        model={"dropout": 0.0, "levels": ["context"]},
        loss={"name": "hinge", "warmup_epochs": 3},
        optim={"epochs": 12, "learning_rate": 0.01, "region_drop": 0.0, "ema": 0.5},
    )
    result = train(config)
    assert result.rsum > 400


def test_collapse_is_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(settings(folder, tmp_path, optim={"epochs": 4, "learning_rate": 0.5}))
    assert "training has collapsed; lower optim.learning_rate" in said(capsys)


@pytest.mark.parametrize("loss", [{"name": "hinge", "warmup_epochs": 0}, {}], ids=str)
def test_constant_scores_are_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], loss: dict[str, Any]
) -> None:
    """Captions that all say the same, of photos whose features do not count."""
    lines = (folder / "captions.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    for record in records:
        record["captions"] = ["a dog"] * len(record["captions"])
    same = tmp_path / "captions.jsonl"
    same.write_text("".join(json.dumps(record) + "\n" for record in records))
    config = settings(
        folder,
        tmp_path / "run",
        model={"dropout": 0.0},
        loss=loss,
        optim={"epochs": 3, "region_drop": 0.0, "word_drop": 0.0},
    )
    config = replace(config, data=replace(config.data, captions=same))
    trainer = Trainer(config, resume=False)
    weight = trainer.model.network.image_tower.norm.weight
    weight.data.zero_()
    weight.requires_grad_(False)
    trainer.run(stop_after=None)
    assert "training has collapsed" in said(capsys)
    losses = [row["loss"] for row in trainer.history]
    assert losses == pytest.approx([trainer._chance_level()] * 3, rel=0.01)


def test_a_healthy_run_is_not_called_collapsed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(settings(folder, tmp_path, optim={"epochs": 6, "learning_rate": 0.01}))
    text = said(capsys)
    assert "epoch 6" in text and "collapse" not in text


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Standard error without the line breaks of a narrow screen."""
    return " ".join(capsys.readouterr().err.split())


def test_averaging_spares_token_ids_and_positions(folder: Path, tmp_path: Path) -> None:
    """Averages of integers are cut off below: 13 would become 12, one step after the other."""
    trainer = Trainer(settings(folder, tmp_path, optim={"epochs": 2, "ema": 0.95}), resume=False)
    trainer.run(stop_after=None)
    averaged = dict(trainer.averaged.module.named_buffers())
    for name, buffer in trainer.model.network.named_buffers():
        assert torch.equal(averaged[name], buffer), name
    assert torch.equal(trainer.averaged.module.text.special_ids, torch.tensor([2, 3, 0]))
    pairs = zip(
        trainer.averaged.module.parameters(), trainer.model.network.parameters(), strict=True
    )
    assert any(not torch.equal(*pair) for pair in pairs)


def test_averaging_can_be_switched_off(folder: Path, tmp_path: Path) -> None:
    trainer = Trainer(settings(folder, tmp_path, optim=FAST | {"ema": 0.0}), resume=False)
    trainer.run(stop_after=None)
    averaged = trainer.averaged.module.state_dict()
    assert_same(dict(trainer.model.network.state_dict()), dict(averaged))


def test_the_test_split_has_no_part_in_training(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path / "all", optim=FAST)
    lines = (folder / "captions.jsonl").read_text().splitlines(keepends=True)
    cut = tmp_path / "captions.jsonl"
    cut.write_text("".join(line for line in lines if '"split": "test"' not in line))
    less = replace(config, run=tmp_path / "less", data=replace(config.data, captions=cut))
    train(config)
    train(less)
    weights = (load_checkpoint(run_folder(c) / "best").network.state_dict() for c in (config, less))
    assert_same(*map(dict, weights))


def test_runs_of_another_precision_follow_each_other_in_one_process(
    folder: Path, tmp_path: Path
) -> None:
    for precision in ("bf16", "no", "bf16"):
        config = settings(folder, tmp_path / precision, optim=FAST | {"precision": precision})
        assert train(config, resume=True).rsum > 0


def test_features_of_another_backbone_are_refused(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path, vision={"backbone": "another"})
    with pytest.raises(DataError, match="made with tiny, but another is required"):
        train(config)
    assert not run_folder(config).exists()


def test_a_method_that_is_a_loss_is_not_trained_with_another(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path, model={"name": "vse++"})
    with pytest.raises(ConfigError, match=r"infonce, but VSE\+\+ is defined by its loss; set loss"):
        Trainer(config, resume=False)
    Trainer(replace(config, loss=HingeConfig()), resume=False)


@pytest.mark.slow
def test_compiled_encoders_train_the_same(folder: Path, tmp_path: Path) -> None:
    """Without random numbers in the encoders, which are drawn in another order when compiled."""
    losses = []
    for compiled in (False, True):
        optim = {**FAST, "epochs": 2, "region_drop": 0.0, "word_drop": 0.0, "compile": compiled}
        config = settings(folder, tmp_path / str(compiled), optim=optim, model={"dropout": 0.0})
        train(config)
        with (run_folder(config) / "log.csv").open() as file:
            losses.append([float(row["loss"]) for row in csv.DictReader(file)])
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    assert losses[0][1] < losses[0][0]


def test_batches_that_are_made_ahead_train_the_same(
    folder: Path, tmp_path: Path, whole: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a GPU."""
    made = []

    class Ahead(Trainer):
        def _batches(self, epoch: int) -> Any:
            made.append(epoch)
            return prefetch(super()._batches(epoch))

    monkeypatch.setattr("hgan.training.trainer.Trainer", Ahead)
    config = replace(whole, run=tmp_path)
    train(config)
    assert made == [0, 1, 2, 3]
    assert_same_run(config, whole)


def test_a_step_of_several_batches_takes_the_mean_of_their_gradients(
    folder: Path, tmp_path: Path
) -> None:
    """Compared with gradients that are added up by hand."""
    config = settings(folder, tmp_path, optim={"accumulate": 2}, model={"dropout": 0.0})
    trainer = Trainer(config, resume=False)
    assert trainer.steps == 2  # of 4 batches
    trainer.model.network.text.eval()
    batches = list(trainer._batches(0))[:2]
    parameters = [p for p in trainer.model.network.parameters() if p.requires_grad]
    expected, losses = [torch.zeros_like(p) for p in parameters], []
    for batch in batches:
        loss = trainer.loss_of(batch)
        losses.append(loss.item())
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        for total, gradient in zip(expected, found, strict=True):
            total += 0 if gradient is None else gradient / 2
    trainer.config.optim.clip = 1e9  # gradients are read after the step
    assert trainer._step(*batches) == pytest.approx(sum(losses) / 2, rel=1e-6)
    for parameter, gradient in zip(parameters, expected, strict=True):
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, gradient, atol=1e-6, rtol=1e-5)
    assert trainer.schedule.state_dict()["last_epoch"] == 1


def test_a_run_with_several_batches_in_a_step(folder: Path, tmp_path: Path) -> None:
    """Three of four batches of an epoch are one step; what is left is no step."""
    config = settings(folder, tmp_path, optim={"accumulate": 3, "epochs": 2})
    trainer = Trainer(config, resume=False)
    trainer.run(stop_after=None)
    assert trainer.steps == 1 and trainer.schedule.state_dict()["last_epoch"] == 2


def test_too_little_memory_says_which_batch_to_try(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(BatchLoss, "__call__", full)
    config = settings(folder, tmp_path, optim=FAST)
    said = r"batch of 8 photos; set optim.chunk_images to 2, .*; or optim.batch_images to 4 or"
    with pytest.raises(TrainingError, match=said):
        train(config)
