"""The commands of docs/distributed.md, with the launchers themselves, on the processor."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from hgan.training.checkpoint import load_state
from hgan.training.config import Config
from hgan.training.folder import run_folder
from hgan.training.trainer import train
from tests.fixtures.processes import free_port
from tests.fixtures.runs import write_config
from tests.fixtures.tiny_model import tiny_config

ACCELERATE = ("accelerate.commands.launch", "--num_processes")
TORCHRUN = ("torch.distributed.run", "--nproc_per_node")

pytestmark = pytest.mark.slow


def start(config: Config, file: Path, launcher: tuple[str, str], *words: str) -> subprocess.Popen:
    """Start `hgan train` by two processes."""
    module, count = launcher
    port = ["--main_process_port" if launcher is ACCELERATE else "--master_port", str(free_port())]
    multi = ["--multi_gpu"] if launcher is ACCELERATE else []
    command = [sys.executable, "-m", module, *multi, count, "2", *port, "-m", "hgan", "train"]
    return subprocess.Popen(
        [*command, *write_config(config, file), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"HGAN_DEVICE": "cpu", "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.parametrize("launcher", [ACCELERATE, TORCHRUN], ids=lambda names: names[0])
def test_a_launcher_trains_one_run(tmp_path: Path, launcher: tuple[str, str]) -> None:
    config = replace(tiny_config(tmp_path / "data"), run=tmp_path / "run")
    launched = start(config, tmp_path / "run.yaml", launcher)
    output, messages = launched.communicate(timeout=600)
    assert launched.returncode == 0, messages
    assert output.split() == [str(run_folder(config) / "best")]  # the first process alone prints it
    assert len(re.findall("^epoch 1 ", messages, re.MULTILINE)) == 1
    assert len(load_state(run_folder(config) / "last")["history"]) == 2


@pytest.mark.parametrize("launcher", [ACCELERATE, TORCHRUN], ids=lambda names: names[0])
def test_a_killed_process_ends_the_launch(tmp_path: Path, launcher: tuple[str, str]) -> None:
    optim = {"epochs": 500, "learning_rate": 0.001}
    config = replace(tiny_config(tmp_path / "data", optim=optim), run=tmp_path / "run")
    launched = start(config, tmp_path / "run.yaml", launcher)
    log = run_folder(config) / "log.csv"
    while not log.exists():
        assert launched.poll() is None, launched.communicate()[1]
        time.sleep(0.1)
    every = psutil.Process(launched.pid).children(recursive=True)
    workers = [process for process in every if "train" in process.cmdline()]
    second = next(p for p in workers if p.environ().get("RANK") == "1")
    killed = time.monotonic()
    second.send_signal(signal.SIGKILL)
    _, messages = launched.communicate(timeout=120)
    assert launched.returncode != 0
    assert time.monotonic() - killed < 60
    said = " ".join(messages.split())
    assert "Signal 9 (SIGKILL)" in said or "another process of this run has ended" in said
    assert not any(process.is_running() for process in workers)
    done = len(load_state(run_folder(config) / "last")["history"])
    train(config, resume=True, stop_after=done + 1)
    assert len(load_state(run_folder(config) / "last")["history"]) == done + 1


def test_settings_that_differ_end_a_launch_before_it_starts(tmp_path: Path) -> None:
    """Two commands, as on two machines, with another learning rate each."""
    config = replace(tiny_config(tmp_path / "data"), run=tmp_path / "run")
    words = write_config(config, tmp_path / "run.yaml")
    port = str(free_port())
    started = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"),
                *("--node_rank", str(rank), "--master_addr", "127.0.0.1", "--master_port", port),
                *("-m", "hgan", "train", *words, "--optim.learning_rate", f"0.00{rank + 1}"),
            ],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"HGAN_DEVICE": "cpu", "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    for launched in started:
        _, messages = launched.communicate(timeout=600)
        assert launched.returncode != 0
        said = " ".join(messages.split())
        assert "optim.learning_rate: 0.002 in process 1, 0.001 in process 0" in said
        assert "start all processes with the same command" in said
    assert not run_folder(config).exists()
