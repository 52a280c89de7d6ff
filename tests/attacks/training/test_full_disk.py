"""A full disk, or a file that may not be written, ends a run with a clear error; the last
checkpoint stays complete."""

import errno
import re
import resource
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hgan.cli import main
from hgan.errors import TrainingError
from hgan.model.io import load_checkpoint
from hgan.training.checkpoint import load_state
from hgan.training.config import Config
from hgan.training.folder import run_folder
from hgan.training.trainer import train
from tests.fixtures.disks import mounted
from tests.fixtures.runs import assert_same_run, contents, write_config

SMALL = 8 << 20
"""Size of the small disk in bytes."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that has few bytes."""
    with mounted(tmp_path / "disk", SMALL) as place:
        yield place


def size(folder: Path) -> int:
    return sum(map(len, contents(folder).values()))


def fill(disk: Path, free: int) -> Path:
    """Write a file that leaves this many bytes."""
    file = disk / "filler"
    with file.open("wb", buffering=0) as opened:
        try:
            while True:
                opened.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        opened.truncate(opened.tell() - free)
    return file


@pytest.mark.slow
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_a_full_disk(two: Config, disk: Path, part: float) -> None:
    """There is no room for the second epoch, or only for a part of its state."""
    config = replace(two, run=disk / "run")
    train(config, stop_after=1)
    folder = run_folder(config)
    before = contents(folder / "last")
    free = int(part * size(folder / "last"))
    files = folder / "last" / "tensors.safetensors", folder / "best" / "model.safetensors"
    needed = sum(file.stat().st_size for file in files)
    filler = fill(disk, free)
    with pytest.raises(TrainingError) as caught:
        train(config, resume=True)
    said = str(caught.value)
    assert said.startswith(f"{folder}") and "No space left on device" in said
    found = re.search(r"need about ([\d.]+) MB beside the old ones, and ([\d.]+) MB are free", said)
    assert found is not None
    assert float(found[1]) == pytest.approx(needed / 1e6, rel=0.1)
    assert float(found[2]) == pytest.approx(free / 1e6, abs=0.11)
    assert "free some space" in said and "--resume after epoch 1" in said
    assert contents(folder / "last") == before
    assert len(load_state(folder / "last")["history"]) == 1
    load_checkpoint(folder / "best")
    filler.unlink()
    train(config, resume=True)
    assert_same_run(two, config)


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """Limits the size of files that this process writes, as a full disk does, without a mount."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
def test_files_that_may_not_be_large(
    two: Config,
    tmp_path: Path,
    file_limit: Callable[[int], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From the command line; the model fits, the larger state does not."""
    config = replace(two, run=tmp_path / "run")
    train(config, stop_after=1)
    folder = run_folder(config)
    before = contents(folder / "last")
    model, state = (
        (folder / name).stat().st_size
        for name in ("best/model.safetensors", "last/tensors.safetensors")
    )
    assert model < state / 2
    words = ["train", *write_config(config, tmp_path / "run.yaml"), "--resume"]
    capsys.readouterr()
    for limit, name in ((model // 2, ".best.new/model"), (state - 1, ".last.new/tensors")):
        file_limit(limit)
        assert main(words) == 2
        file_limit(resource.RLIM_INFINITY)
        said = capsys.readouterr().err
        assert f"hgan: {folder}/{name}.safetensors: File too large" in said
        assert "--resume after epoch 1" in said and "Traceback" not in said
        assert contents(folder / "last") == before
    assert main(words) == 0
    assert_same_run(two, config)


def test_a_file_that_cannot_be_replaced(two: Config, tmp_path: Path) -> None:
    """After the checkpoint: its epoch is not lost, and space is not what is missing."""
    config = replace(two, run=tmp_path)
    (run_folder(config) / "log.csv" / "mine").mkdir(parents=True)
    with pytest.raises(
        TrainingError, match=r"log\.csv.*directory.*writable.* after epoch 1, which"
    ):
        train(config)
    (run_folder(config) / "log.csv" / "mine").rmdir()
    (run_folder(config) / "log.csv").rmdir()
    train(config, resume=True)
    assert_same_run(two, config)
