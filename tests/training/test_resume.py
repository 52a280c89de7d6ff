"""A resumed run equals an uninterrupted one bit for bit, and other runs are left alone."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hgan.errors import ConfigError, DataError
from hgan.training.checkpoint import load_state, save_state
from hgan.training.config import Config
from hgan.training.folder import run_folder
from hgan.training.losses.hinge import HingeConfig
from hgan.training.losses.infonce import InfoNCEConfig
from hgan.training.trainer import train
from tests.fixtures.runs import FAST, assert_same_run, tiny_run


@pytest.mark.slow
def test_two_and_two_epochs_equal_four_bit_for_bit(whole: Config, tmp_path: Path) -> None:
    broken = replace(whole, run=tmp_path)
    train(broken, stop_after=2)
    assert len(load_state(run_folder(broken) / "last")["history"]) == 2
    train(broken, resume=True)
    assert_same_run(whole, broken)


@pytest.mark.slow
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
from hgan.training import trainer
from tests.fixtures.runs import tiny_run

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
    rename = Path.rename
    def slow(self, target):
        if self.name == ".last.new" and Path(target).with_name(".last.old").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(self, target)
    Path.rename = slow
trainer.train(tiny_run(Path(folder), Path(run), optim={"epochs": 4}))
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_damaged_state_is_not_resumed(whole: Config, folder: Path, tmp_path: Path) -> None:
    config = tiny_run(folder, tmp_path, optim=FAST)
    train(config)
    (run_folder(config) / "last" / "tensors.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match=r"tensors\.safetensors: damaged"):
        train(config, resume=True)
