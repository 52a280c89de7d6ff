"""ONNX Runtime sends no usage data: no identifier, no queue, no connection."""

import os
import subprocess
import sys
from pathlib import Path

from tests.fixtures.tiny_bundle import write_tiny_bundle

CODE = """
import sys
from pathlib import Path
from hgan.runtime.bundle import Bundle
Bundle.load(Path(sys.argv[1])).encode_texts(["a red photo"])
"""


def test_nothing_is_left_in_the_home_of_a_user(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    home = tmp_path / "home"
    home.mkdir()
    hidden = ("ORT_", "CI", "GITHUB_", "XDG_", "PYTEST")  # in a test, it says nothing anyway
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    command = [sys.executable, "-c", CODE, str(bundle)]
    subprocess.run(command, env=environment | {"HOME": str(home)}, check=True)
    assert list(home.rglob("*")) == []
