"""Files appear together or not at all, whatever ends the program."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hgan.data.conversion.new_files import new_files
from hgan.errors import DataError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_appear_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with new_files(folder, ["a.txt", "b.txt"]) as temporary:
        for name, path in temporary.items():
            path.write_text(name)
        assert not set(names(folder)) & {"a.txt", "b.txt"}
    assert names(folder) == ["a.txt", "b.txt"]
    assert (folder / "b.txt").read_text() == "b.txt"


def test_after_an_error_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_files(tmp_path, ["a", "b"]) as temporary:
        temporary["a"].write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_file_never_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), new_files(tmp_path, ["a", "b"]) as temporary:
        temporary["a"].write_text("whole")
    assert names(tmp_path) == []


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")
    with pytest.raises(DataError, match="b is there already"), new_files(tmp_path, ["a", "b"]):
        pytest.fail("the block must not run")
    assert names(tmp_path) == ["b"]


def test_a_kill_leaves_no_file_under_its_name(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib; from hgan.data.conversion.new_files import new_files\n"
        "with new_files(pathlib.Path(sys.argv[1]), ['a', 'b']) as t:\n"
        "    [p.write_text('half') for p in t.values()]; os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not {"a", "b"} & set(names(tmp_path))
    assert len(names(tmp_path)) == 2
    with new_files(tmp_path, ["a"]) as temporary:
        temporary["a"].write_text("whole")
    assert (tmp_path / "a").read_text() == "whole"
