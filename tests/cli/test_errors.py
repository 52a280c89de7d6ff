"""Errors of the command line are one message in plain words, and interrupted work is kept."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from hgan.cli import VERBS, main
from tests.fixtures.command import hgan
from tests.fixtures.tiny_bundle import write_tiny_bundle


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("search dogs -k 0", "-k: must be a whole number of at least 1, not 0"),
        ("search dogs -k -3", "-k: must be a whole number of at least 1, not -3"),
        ("search dogs -k many", "-k: must be a whole number, not many"),
        ("search dogs --offset -1", "--offset: must be a whole number of at least 0, not -1"),
        ("search dogs --min-score high", "--min-score: must be a number, not high"),
        ("search dogs --index", "--index: needs a value"),
        ("search dogs --offest 3", "--offest: unknown option; did you mean --offset?"),
        ("search dogs --zebra", "--zebra: unknown option; see `hgan search --help`"),
        ("index photos --quantize int4", "--quantize: must be int8 or none, not int4"),
        ("index", "name the photos or texts to index, as in `hgan index ~/Pictures`"),
        ("explain", "photo and text are missing; see `hgan explain --help`"),
    ],
)
def test_wrong_arguments_are_explained_in_plain_words(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    assert capsys.readouterr() == ("", f"hgan: {message}\n")


def test_an_error_of_the_user_is_one_message_without_a_trace(tmp_path: Path) -> None:
    result = hgan("search", "dogs", "--index", tmp_path / "nothing")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("hgan: ") and "no index here" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_error(index: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "hgan", "search", "red", "--index", str(index)]
    result = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert result.returncode == 141
    assert result.stderr == ""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_onto_a_full_disk(index: Path) -> None:
    command = [sys.executable, "-m", "hgan", "search", "red", "--index", str(index)]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 2
    assert result.stderr == "hgan: No space left on device; finished work is kept\n"


def test_an_error_of_the_system_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "some/file")

    broken = SimpleNamespace(parser=VERBS["export"].parser, run=refuse)
    monkeypatch.setitem(VERBS, "export", broken)
    assert main(["export", "a", "b"]) == 2
    assert "some/file: Permission denied" in capsys.readouterr().err


INTERRUPTED = """
import os, signal, sys
from hgan.cli import main
from hgan.index.store.edge import EdgeStore

# A test run in the background has Ctrl-C ignored, and its children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
upsert, count = EdgeStore.upsert, 0

def upsert_then_interrupt(self, points):
    global count
    upsert(self, points)
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGINT)

EdgeStore.upsert = upsert_then_interrupt
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_an_interrupted_run_says_so_and_goes_on_the_next_time(tmp_path: Path) -> None:
    photos = tmp_path / "many"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for i in range(100):
        noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(photos / f"{i}.png")
    bundle = write_tiny_bundle(tmp_path / "bundle")
    words = ["index", photos, "--to", tmp_path / "index", "--bundle", bundle]
    command = [sys.executable, "-c", INTERRUPTED, *words]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 130
    assert "interrupted; finished work is kept" in result.stderr
    assert "Traceback" not in result.stderr

    again = hgan(*words)
    assert again.returncode == 0, again.stderr
    added, unchanged = (int(again.stdout.split()[i]) for i in (0, 6))
    assert added + unchanged == 100
    assert added > 0 and unchanged > 0
