"""A run that is killed at any moment, and resumed, ends as if nothing had happened."""

import json
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hgan.cli import main
from hgan.config import DataConfig
from hgan.training.config import Config
from hgan.training.folder import run_folder
from hgan.training.trainer import train
from tests.fixtures.killed import run_hgan
from tests.fixtures.runs import CLOCK, assert_same_run, contents, write_config
from tests.fixtures.tiny_model import tiny_config


def tiny(_: Path, folder: Path) -> Config:
    """Averaged weights, dropout, augmentation, two views, a cache of frozen layers."""
    config = tiny_config(folder, optim={"epochs": 24, "learning_rate": 0.002})
    assert config.optim.ema and config.model.dropout and config.optim.word_drop
    return config


def trainable_layers(flickr8k: Path, folder: Path) -> Config:
    """Also a trained block of the backbone, mosaics, and a prior, on a few real photos."""
    captions = folder / "captions.jsonl"
    kept = {"train": 16, "val": 8}
    with (flickr8k / "captions.jsonl").open(encoding="utf-8") as file, captions.open("w") as few:
        for line in file:
            split = json.loads(line)["split"]
            if kept.get(split, 0):
                few.write(line)
                kept[split] -= 1
    config = tiny_config(
        folder / "tiny",
        vision={"backbone": "efficientnet-lite2", "size": 64, "trainable_layers": 1, "mosaics": 2},
        model={"prior": "classes", "prior_width": 12, "prior_local_width": 6},
        optim={"epochs": 24, "learning_rate": 0.002, "vision_rate": 1.0},
    )
    data = DataConfig(captions, flickr8k / "images", folder / "features")
    config = replace(config, data=data)
    assert main(["extract", *write_config(config, folder / "extract.yaml")]) == 0
    return config


@pytest.mark.slow
@pytest.mark.parametrize("make", [tiny, trainable_layers])
def test_a_run_that_is_killed_twenty_times_ends_as_if_nothing_had_happened(
    make: Callable[[Path, Path], Config], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Eight kills at any time, eight while an epoch is saved, four while a record is."""
    photos = request.getfixturevalue("flickr8k") if make is trainable_layers else tmp_path
    whole = replace(make(photos, tmp_path), run=tmp_path / "whole")
    broken = replace(whole, run=tmp_path / "broken")
    commands = {}
    for config in (whole, broken):
        words = write_config(config, tmp_path / f"{config.run.name}.yaml")
        best = str(run_folder(config) / "best")
        commands[config.run] = ["train", *words, "--resume"], ["evaluate", best, "--split", "val"]
    output = tmp_path / "output.txt"
    training, evaluation = commands[whole.run]
    start = time.monotonic()
    assert run_hgan(training, output) == 0, output.read_text()
    epoch = (time.monotonic() - start) / whole.optim.epochs
    assert run_hgan(evaluation, output) == 0, output.read_text()

    rng = random.Random(0)
    training, evaluation = commands[broken.run]
    moments = ["any time", "saving"] * 8
    rng.shuffle(moments)
    for moment in moments:
        if moment == "saving":
            code = run_hgan(training, output, operation=rng.randint(1, 60))
        else:
            code = run_hgan(training, output, seconds=rng.uniform(0, 1.5 * epoch))
        assert code == -signal.SIGKILL, output.read_text()
    assert run_hgan(training, output) == 0, output.read_text()
    for _ in range(4):
        code = run_hgan(evaluation, output, operation=rng.randint(1, 12))
        assert code == -signal.SIGKILL, output.read_text()
    assert run_hgan(evaluation, output) == 0, output.read_text()
    assert "Traceback" not in output.read_text()

    assert_same_run(whole, broken)
    first, second = (run_folder(config) for config in (whole, broken))
    files, others = contents(first), contents(second)
    assert files.keys() == others.keys()  # no temporary file is left
    # The others contain durations or the name of the run; safetensors writes the names of shared
    # tensors in any order, so the best weights are compared above.
    for name in ("best/config.json", "best/README.md", "best/tokenizer.json", "val.npz"):
        assert files[name] == others[name], name
    assert record(first) == record(second)
    assert log(first) == log(second)


def record(folder: Path) -> dict[str, Any]:
    """The record of an evaluation, without what its clock says and the name of the run."""
    found: dict[str, Any] = json.loads((folder / "val.json").read_text())
    for name in ("microseconds_per_pair", "pairs"):  # it is timed for a fixed time
        del found["cost"][name]
    del found["checkpoint"]
    return found


def log(folder: Path) -> list[list[str]]:
    """The rows of a log, without durations."""
    head, *rows = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()]
    kept = [i for i, name in enumerate(head) if name not in CLOCK]
    assert len(kept) == len(head) - len(CLOCK)
    return [[row[i] for i in kept] for row in (head, *rows)]


@pytest.mark.slow
def test_a_log_that_was_not_written_is_written_by_the_next_run(two: Config, tmp_path: Path) -> None:
    """The process was killed between the last checkpoint and the log."""
    config = replace(two, run=tmp_path)
    train(config)
    before = contents(run_folder(config))
    (run_folder(config) / "log.csv").write_text("epoch,loss\n1,")
    (run_folder(config) / "curves.png").unlink()
    (run_folder(config) / ".last.old").mkdir()
    train(config, resume=True)
    assert contents(run_folder(config)) == before
    assert not (run_folder(config) / ".last.old").exists()
