"""Two processes do not train the same run."""

import errno
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hgan.config import DataConfig
from hgan.errors import TrainingError
from hgan.training.checkpoint import load_state
from hgan.training.config import Config
from hgan.training.folder import only_process, run_folder
from hgan.training.trainer import Trainer, train
from tests.fixtures.killed import run_hgan, start_hgan
from tests.fixtures.runs import assert_same_run, write_config
from tests.fixtures.tiny_model import tiny_config

BUSY = r"seed1: another process is training this run; wait until it ends or stop it, or choose"


@pytest.mark.slow
def test_a_run_that_another_process_trains(two: Config, tmp_path: Path) -> None:
    """It is refused before the data are read, and without a change to the run."""
    config = replace(two, run=tmp_path)
    with only_process(run_folder(config)), pytest.raises(TrainingError, match=BUSY):
        train(replace(config, data=DataConfig()), resume=True)
    assert [path.name for path in run_folder(config).iterdir()] == ["lock"]
    train(config)
    assert_same_run(two, config)


def test_the_other_process_starts_while_the_data_are_read(two: Config, tmp_path: Path) -> None:
    config = replace(two, run=tmp_path)
    trainer = Trainer(config, resume=True)
    with only_process(run_folder(config)), pytest.raises(TrainingError, match=BUSY):
        trainer.run(None)
    train(config)
    assert load_state(run_folder(config) / "last")["best"]["epoch"] == 2


@pytest.mark.slow
def test_two_commands_at_once(data: Path, tmp_path: Path) -> None:
    """The second is refused with exit code 2; when the first is killed, the lock is free."""
    optim = {"epochs": 500, "learning_rate": 0.001}
    config = replace(tiny_config(data, optim=optim), run=tmp_path)
    words = ["train", *write_config(config, tmp_path / "run.yaml"), "--resume"]
    first, started = start_hgan(words, tmp_path / "first.txt")
    assert started()
    second = tmp_path / "second.txt"
    assert run_hgan(words, second) == 2
    assert re.search(BUSY, " ".join(second.read_text().split())) and first.is_alive()
    while not (run_folder(config) / "log.csv").exists():
        time.sleep(0.01)
    first.kill()
    first.join()
    assert train(config, resume=True, stop_after=0).epoch > 0


def test_a_file_system_without_locks(
    two: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Some network file systems have none: the run is trained, and the danger is told."""

    def unlocked(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unlocked)
    config = replace(two, run=tmp_path)
    train(config)
    assert_same_run(two, config)
    assert "nothing prevents another process" in " ".join(capsys.readouterr().err.split())
