"""The training loop on tiny data: it learns, and says so if it does not; what a step does."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from hgan.data.batches.prefetch import prefetch
from hgan.errors import ConfigError, TrainingError
from hgan.evaluation.evaluate import evaluate
from hgan.model.io import load_checkpoint
from hgan.training.batch_loss import BatchLoss
from hgan.training.checkpoint import load_state
from hgan.training.config import Config
from hgan.training.folder import run_folder
from hgan.training.losses.hinge import HingeConfig
from hgan.training.trainer import Trainer, train
from tests.fixtures.runs import CLOCK, FAST, assert_same, assert_same_run, tiny_run
from tests.fixtures.tiny_model import tiny_dataset


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
    config = tiny_run(
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
    config = tiny_run(
        folder,
        tmp_path,
        text={"trainable_layers": None},
        model={"dropout": 0.0, "levels": ["context"]},
        loss={"name": "hinge", "warmup_epochs": 3},
        optim={"epochs": 12, "learning_rate": 0.01, "region_drop": 0.0, "ema": 0.5},
    )
    result = train(config)
    assert result.rsum > 400


@pytest.mark.slow
def test_collapse_is_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tiny_run(folder, tmp_path, optim={"epochs": 4, "learning_rate": 0.5}))
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
    config = tiny_run(
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


@pytest.mark.slow
def test_a_healthy_run_is_not_called_collapsed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tiny_run(folder, tmp_path, optim={"epochs": 6, "learning_rate": 0.01}))
    text = said(capsys)
    assert "epoch 6" in text and "collapse" not in text


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Standard error without the line breaks of a narrow screen."""
    return " ".join(capsys.readouterr().err.split())


def test_averaging_spares_token_ids_and_positions(folder: Path, tmp_path: Path) -> None:
    """Averages of integers are cut off below: 13 would become 12, one step after the other."""
    trainer = Trainer(tiny_run(folder, tmp_path, optim={"epochs": 2, "ema": 0.95}), resume=False)
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
    trainer = Trainer(tiny_run(folder, tmp_path, optim=FAST | {"ema": 0.0}), resume=False)
    trainer.run(stop_after=None)
    averaged = trainer.averaged.module.state_dict()
    assert_same(dict(trainer.model.network.state_dict()), dict(averaged))


@pytest.mark.slow
def test_runs_of_another_precision_follow_each_other_in_one_process(
    folder: Path, tmp_path: Path
) -> None:
    for precision in ("bf16", "no", "bf16"):
        config = tiny_run(folder, tmp_path / precision, optim=FAST | {"precision": precision})
        assert train(config, resume=True).rsum > 0


def test_a_method_that_is_a_loss_is_not_trained_with_another(folder: Path, tmp_path: Path) -> None:
    config = tiny_run(folder, tmp_path, model={"name": "vse++"})
    with pytest.raises(ConfigError, match=r"infonce, but VSE\+\+ is defined by its loss; set loss"):
        Trainer(config, resume=False)
    Trainer(replace(config, loss=HingeConfig()), resume=False)


@pytest.mark.slow
def test_compiled_encoders_train_the_same(folder: Path, tmp_path: Path) -> None:
    """Without random numbers in the encoders, which are drawn in another order when compiled."""
    losses = []
    for compiled in (False, True):
        optim = {**FAST, "epochs": 2, "region_drop": 0.0, "word_drop": 0.0, "compile": compiled}
        config = tiny_run(folder, tmp_path / str(compiled), optim=optim, model={"dropout": 0.0})
        train(config)
        with (run_folder(config) / "log.csv").open() as file:
            losses.append([float(row["loss"]) for row in csv.DictReader(file)])
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    assert losses[0][1] < losses[0][0]


@pytest.mark.slow
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
    config = tiny_run(folder, tmp_path, optim={"accumulate": 2}, model={"dropout": 0.0})
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
    config = tiny_run(folder, tmp_path, optim={"accumulate": 3, "epochs": 2})
    trainer = Trainer(config, resume=False)
    trainer.run(stop_after=None)
    assert trainer.steps == 1 and trainer.schedule.state_dict()["last_epoch"] == 2


def test_too_little_memory_says_which_batch_to_try(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(BatchLoss, "__call__", full)
    config = tiny_run(folder, tmp_path, optim=FAST)
    said = r"batch of 8 photos; set optim.chunk_images to 2, .*; or optim.batch_images to 4 or"
    with pytest.raises(TrainingError, match=said):
        train(config)
