"""State on disk is the old or the new, never half, and leaves nothing beside it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hgan.files import atomic_write, sha256, write_json


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "state"
    with atomic_write(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["state"]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [b"old", None])
def test_what_was_there_stays_when_the_block_raises(
    tmp_path: Path, error: type[BaseException], old: bytes | None
) -> None:
    path = tmp_path / "state"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(error), atomic_write(path) as file:
        file.write(b"half of the new")
        raise error
    assert (path.read_bytes() if path.exists() else None) == old
    assert list(tmp_path.iterdir()) == ([path] if old is not None else [])


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError), atomic_write(tmp_path / "file" / "state"):
        pass


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    """A limit on file size fails a write as a full disk does: with an OSError, in mid-file."""
    path = tmp_path / "state"
    path.write_bytes(b"old")
    code = f"""
import resource, signal
from pathlib import Path
from hgan.files import atomic_write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with atomic_write(Path({str(path)!r})) as file:
        file.write(bytes(100_000))
except OSError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    code = f"""
import os, signal
from pathlib import Path
from hgan.files import atomic_write
with atomic_write(Path({str(path)!r})) as file:
    file.write(b"half of the new")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


def test_json_is_written_for_people(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_json(path, {"b": "größer 🐕", "a": [1, 2.5, None]})
    text = path.read_text(encoding="utf-8")
    assert text.endswith("}\n") and "größer 🐕" in text and text.index('"b"') < text.index('"a"')
    assert json.loads(text) == {"b": "größer 🐕", "a": [1, 2.5, None]}
    with pytest.raises(TypeError):
        write_json(path, object())
    assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


def test_sha256(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "data").write_bytes(data)
    assert sha256(tmp_path / "data") == hashlib.sha256(data).hexdigest()
