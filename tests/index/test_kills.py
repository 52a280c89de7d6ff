"""A small version of the benchmark of kills: an index survives `kill -9` at any moment."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.slow
def test_nothing_is_lost_by_kills(flickr8k: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--photos", str(flickr8k / "images")]
    command += ["--number", "40", "--kills", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line[:36].strip(): line[36:].split() for line in done.stdout.splitlines()}
    assert rows["index could not be opened"] == ["0"]
    assert rows["in the index at the end"] == ["40", "of", "40"]
    assert rows["lost"][0] == "0"
    assert int(rows["kills after the process had ended"][0]) <= 2
