"""Runs of several real processes: they equal a run of one, and can be continued by any number."""

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hgan.errors import ConfigError, TrainingError
from hgan.launch import join
from hgan.training import agreement
from hgan.training.checkpoint import load_state
from hgan.training.config import Config
from hgan.training.folder import run_folder
from hgan.training.trainer import Trainer, train
from tests.fixtures.processes import Group, processes
from tests.fixtures.runs import assert_same_run
from tests.fixtures.tiny_model import tiny_config

pytestmark = pytest.mark.slow  # each run starts two or three processes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny data, and a text encoder without dropout."""
    made = tmp_path_factory.mktemp("data")
    tiny_config(made)
    file = made / "bert" / "config.json"
    settings = json.loads(file.read_text())
    file.write_text(
        json.dumps(settings | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    )
    return made


def still(folder: Path, run: Path, **optim: Any) -> Config:
    """A run without dropout, so that it does not depend on the number of processes."""
    return replace(tiny_config(folder, model={"dropout": 0.0}, optim=optim), run=run)


def history(config: Config) -> list[dict[str, float]]:
    found: list[dict[str, float]] = load_state(run_folder(config) / "last")["history"]
    return found


def assert_close_runs(one: Config, other: Config) -> None:
    """The same losses to 1e-4, and nearly all weights to 1e-3. Adam makes steps of the full rate of
    gradients that are only rounding, such as those of biases that softmax ignores."""
    first, second = (history(config) for config in (one, other))
    assert [row["rate"] for row in first] == [row["rate"] for row in second]
    losses = [[row["loss"] for row in rows] for rows in (first, second)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    networks = [load_state(run_folder(config) / "last")["network"] for config in (one, other)]
    assert networks[0].keys() == networks[1].keys()
    weights = [torch.cat([x.flatten() for x in network.values()]) for network in networks]
    assert ((weights[0] - weights[1]).abs() < 1e-3).float().mean() > 0.99


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Two epochs by one process."""
    config = still(folder, tmp_path_factory.mktemp("whole"))
    train(config)
    return config


@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_train_as_one(
    whole: Config, tmp_path: Path, count: int, request: pytest.FixtureRequest
) -> None:
    """The same number of steps, rates, losses; all processes know the best epoch."""
    config = replace(whole, run=tmp_path)
    group = request.getfixturevalue({2: "pair", 3: "trio"}[count])
    results = group.run(train, config)
    assert len(set(map(str, results))) == 1
    assert_close_runs(config, whole)
    assert {p.name for p in run_folder(config).iterdir()} == {
        "best", "last", "log.csv", "curves.png", "config.json", "lock",
    }  # fmt: skip
    assert (run_folder(config) / "config.json").read_text().count(str(tmp_path)) == 1


@pytest.mark.parametrize("optim", [{"accumulate": 2}, {"chunk_images": 2}, {"ema": 0.0}], ids=str)
def test_settings_of_a_step_do_the_same_in_several_processes(
    folder: Path, tmp_path: Path, optim: dict[str, Any], pair: Group
) -> None:
    one, both = (still(folder, tmp_path / name, **optim) for name in ("one", "both"))
    train(one)
    pair.run(train, both)
    assert_close_runs(one, both)


def in_bfloat16(config: Config) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
        return train(config)


def test_bfloat16_agrees_with_float32(
    whole: Config, folder: Path, tmp_path: Path, alone: Group, pair: Group
) -> None:
    """Losses agree to 5 %, and those of two processes with those of one to 0.5 %."""
    one, both = (still(folder, tmp_path / n, precision="bf16") for n in ("one", "both"))
    alone.run(in_bfloat16, one)
    pair.run(in_bfloat16, both)
    losses = [[row["loss"] for row in history(config)] for config in (whole, one, both)]
    assert losses[1] != losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert losses[2] == pytest.approx(losses[1], rel=0.005)


@pytest.mark.parametrize("after", [1, 3])
def test_two_processes_are_continued_by_one_and_by_three(
    whole: Config, tmp_path: Path, after: int, pair: Group, request: pytest.FixtureRequest
) -> None:
    config = replace(whole, run=tmp_path)
    pair.run(train, config, stop_after=1)
    assert len(history(config)) == 1
    group = request.getfixturevalue({1: "alone", 3: "trio"}[after])
    group.run(train, config, resume=True)
    assert_close_runs(config, whole)


def test_one_process_is_continued_by_two(whole: Config, tmp_path: Path, pair: Group) -> None:
    config = replace(whole, run=tmp_path)
    train(config, stop_after=1)
    pair.run(train, config, resume=True)
    assert_close_runs(config, whole)


def test_one_and_one_epochs_of_two_processes_equal_two_bit_for_bit(
    tmp_path: Path, pair: Group
) -> None:
    """With dropout, which each process draws for itself."""
    config = replace(tiny_config(tmp_path / "data"), run=tmp_path / "whole")
    assert config.model.dropout
    broken = replace(config, run=tmp_path / "broken")
    pair.run(train, config)
    pair.run(train, broken, stop_after=1)
    pair.run(train, broken, resume=True)
    assert_same_run(config, broken)


def written_files(config: Config) -> list[str]:
    """What this process writes, renames, creates or locks in the folder of the run."""
    found: list[str] = []

    def watch(event: str, values: tuple[Any, ...]) -> None:
        changes = event.startswith(("os.", "shutil.", "fcntl.")) and event not in (
            "os.listdir", "os.scandir", "os.walk", "os.fwalk",
        )  # fmt: skip
        writes = event == "open" and isinstance(values[1], str) and set(values[1]) & set("wax+")
        if (changes or writes) and str(config.run) in str(values[0]):
            found.append(f"{event} {values[0]}")

    sys.addaudithook(watch)
    train(config)
    return found


def test_only_the_first_process_writes(folder: Path, tmp_path: Path) -> None:
    """Log, curves, checkpoints, lock, and trackers."""
    config = replace(still(folder, tmp_path / "run"), track=["tensorboard"])
    pytest.importorskip("tensorboard")
    with processes(2) as group:
        first, second = group.run(written_files, config)
        pid = str(group.processes[0].pid)
    assert second == []
    names = " ".join(first)
    assert all(name in names for name in ("log.csv", "curves.png", ".last.new", "lock", "best"))
    events = run_folder(config).rglob("events.out.tfevents*")
    assert {event.name.split(".")[-2] for event in events} == {pid}


def refused(config: Config, resume: bool) -> str:
    try:
        train(config, resume=resume)
    except (ConfigError, TrainingError) as error:
        return str(error)
    return ""


def test_a_run_is_not_overwritten(whole: Config, pair: Group) -> None:
    before = (run_folder(whole) / "log.csv").read_bytes()
    for said in pair.run(refused, whole, resume=False):
        assert "already contains a run; continue it with --resume" in said
    assert (run_folder(whole) / "log.csv").read_bytes() == before


def without_the_disk(config: Config) -> str:
    """The second process does not see the state of the run."""
    with pytest.MonkeyPatch.context() as patch:
        if not join(torch.device("cpu")).is_first:
            patch.setattr(agreement, "CHECKSUMS", "elsewhere.json")
        return refused(config, resume=True)


def test_a_folder_that_machines_do_not_share_is_refused(whole: Config, pair: Group) -> None:
    for said in pair.run(without_the_disk, whole):
        assert "state to resume from: " in said and "a folder that all machines share" in said


def trained(config: Config, resume: bool, kill: tuple[int, int] | None) -> Any:
    """Train; the process with the first number is killed in the step with the second."""
    original, steps = Trainer._step, 0

    def step(trainer: Trainer, *batches: Any) -> float:
        nonlocal steps
        steps += 1
        if kill == (trainer.processes.rank, steps):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(trainer, *batches)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_step", step)
        return train(config, resume=resume)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_is_killed_ends_the_run_and_leaves_a_checkpoint(
    whole: Config, tmp_path: Path, victim: int
) -> None:
    config = replace(whole, run=tmp_path)
    with processes(2) as group:
        group.start(trained, config, False, (victim, 4 + 2))  # the second step of the second epoch
        start = time.monotonic()
        results = group.results()
        seconds = time.monotonic() - start
    assert results[victim] is None
    error = results[1 - victim]
    assert isinstance(error, TrainingError)
    assert "another process of this run has ended or cannot be reached" in str(error)
    assert "start all processes again with --resume, which continues after epoch 1" in str(error)
    assert seconds < 120  # of which training is most
    assert len(history(config)) == 1
    train(config, resume=True)
    assert_close_runs(config, whole)


def test_a_process_that_is_killed_in_the_first_epoch(whole: Config, tmp_path: Path) -> None:
    config = replace(whole, run=tmp_path)
    with processes(2) as group:
        group.start(trained, config, False, (1, 2))
        error, _ = group.results()
    assert "no epoch was finished, so start again" in str(error)
    train(config, resume=True)
    assert_close_runs(config, whole)
