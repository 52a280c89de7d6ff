"""State on disk is the old or the new one, always complete, and no other files are left.

What a power cut leaves depends on the order of syncs, renames and removals: it is recorded.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hgan import files
from hgan.errors import DataError
from hgan.files import (
    atomic_write,
    new_files,
    parse_json,
    recover_folder,
    replace_folder,
    sha256,
    write_json,
)


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


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 10_000, "{", b"\xff"])
def test_what_is_not_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)
    assert parse_json('{"a": [1]}') == {"a": [1]}


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


Event = tuple[str, str]
"""What was done (sync, rename, remove), and to which path."""


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Event]:
    """The syncs, renames and removals below the folder of the test, in order."""
    events: list[Event] = []

    def note(kind: str, path: Any) -> None:
        path = Path(path)
        if path.is_relative_to(tmp_path):
            events.append((kind, path.relative_to(tmp_path).as_posix()))

    def recorder(kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *args: Any, **options: Any) -> Any:
            if kind != "remove" or Path(path).exists():
                note(kind, path)
            return real(path, *args, **options)

        return call

    fsync = os.fsync

    def sync(descriptor: int) -> None:
        note("sync", Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, recorder("rename", getattr(os, name)))
        monkeypatch.setattr(Path, name, recorder("rename", getattr(Path, name)))
    monkeypatch.setattr(shutil, "rmtree", recorder("remove", shutil.rmtree))
    return events


def in_order(events: list[Event], *expected: Event) -> bool:
    """Whether the expected events are among the recorded ones, in this order."""
    rest = iter(events)
    return all(event in rest for event in expected)


def temporary(name: str) -> str:
    return f".{name}.{files._HOST}-{os.getpid()}.tmp"


def test_a_file_is_synced_before_its_rename_and_its_folder_after(
    tmp_path: Path, recorded: list[Event]
) -> None:
    write_json(tmp_path / "state.json", 1)
    new = temporary("state.json")
    syncs = [event for event in recorded if event in (("sync", new), ("sync", "."))]
    assert syncs == [("sync", new), ("sync", ".")]
    assert in_order(recorded, ("sync", new), ("rename", new), ("sync", "."))


def fill(folder: Path, text: str = "new") -> None:
    (folder / "weights").write_text(text)
    (folder / "part").mkdir()
    (folder / "part" / "settings").write_text(text)


def test_no_folder_is_removed_before_its_replacement_was_synced(
    tmp_path: Path, recorded: list[Event]
) -> None:
    folder = tmp_path / "best"
    replace_folder(folder, lambda new: fill(new, "old"))
    recorded.clear()
    replace_folder(folder, fill)
    assert in_order(
        recorded,
        ("sync", ".best.new/part/settings"),
        ("sync", ".best.new/part"),
        ("sync", ".best.new"),
        ("rename", "best"),
        ("rename", ".best.new"),
        ("sync", "."),
        ("remove", ".best.old"),
    )
    removed = recorded.index(("remove", ".best.old"))
    assert recorded.index(("sync", ".best.new/weights")) < recorded.index(("rename", "best"))
    assert [kind for kind, _ in recorded].index("remove") == removed  # nothing before it
    assert (folder / "part" / "settings").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_an_error_leaves_the_old_folder(tmp_path: Path) -> None:
    replace_folder(tmp_path / "last", fill)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="space"):
        replace_folder(tmp_path / "last", fail)
    assert (tmp_path / "last" / "weights").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_other_files_of_a_replaced_folder_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    replace_folder(folder, lambda new: fill(new, "old"))
    (folder / "notes.txt").write_text("mine")
    (folder / ".git").mkdir()
    (folder / ".git" / "object").write_text("mine")
    (folder / ".git" / "object").chmod(0o444)
    replace_folder(folder, fill)
    assert (folder / "weights").read_text() == "new"
    assert (folder / "notes.txt").read_text() == (folder / ".git" / "object").read_text() == "mine"


def test_a_symbolic_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    replace_folder(tmp_path / "link", fill)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "weights").read_text() == "new"


@pytest.mark.parametrize("at", range(1, 6))
def test_a_kill_at_any_step_leaves_a_complete_folder(tmp_path: Path, at: int) -> None:
    """The steps: three syncs of the new folder's parts, two renames."""
    code = f"""
import os, signal
from pathlib import Path
from hgan.files import replace_folder
steps = 0
def step(real):
    def call(*args):
        global steps
        steps += 1
        if steps == {at}:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)
    return call
def write(folder):
    (folder / "a").write_text("new")
    (folder / "b").write_text("new")
os.fsync, Path.rename = step(os.fsync), step(Path.rename)
replace_folder(Path({str(tmp_path / "best")!r}), write)
"""
    for name in ("a", "b"):
        (tmp_path / "best").mkdir(exist_ok=True)
        (tmp_path / "best" / name).write_text("old")
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    recover_folder(tmp_path / "best")
    assert {path.read_text() for path in (tmp_path / "best").iterdir()} == {"old"}
    replace_folder(tmp_path / "best", fill)
    assert (tmp_path / "best" / "weights").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_a_folder_between_the_two_renames_is_recovered(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    replace_folder(folder, fill)
    folder.rename(tmp_path / ".last.old")
    recover_folder(folder)
    assert (folder / "weights").read_text() == "new"
    recover_folder(folder)  # nothing to do
    assert (folder / "weights").read_text() == "new"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_several_files_appear_together(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with new_files(folder, ["a.txt", "b.txt"]) as temporary:
        for name, path in temporary.items():
            path.write_text(name)
        assert not set(names(folder)) & {"a.txt", "b.txt"}
    assert names(folder) == ["a.txt", "b.txt"]
    assert (folder / "b.txt").read_text() == "b.txt"


def test_after_an_error_there_are_no_new_files(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_files(tmp_path, ["a", "b"]) as temporary:
        temporary["a"].write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_file_never_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), new_files(tmp_path, ["a", "b"]) as temporary:
        temporary["a"].write_text("whole")
    assert names(tmp_path) == []


def test_existing_files_stay(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")
    with pytest.raises(DataError, match="b already exists"), new_files(tmp_path, ["a", "b"]):
        pytest.fail("the block must not run")
    assert names(tmp_path) == ["b"]


def test_a_kill_leaves_no_file_under_its_name(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib; from hgan.files import new_files\n"
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


def test_new_files_are_synced_before_the_first_rename_and_their_folder_after_the_last(
    tmp_path: Path, recorded: list[Event]
) -> None:
    with new_files(tmp_path, ["a", "b"]) as paths:
        for path in paths.values():
            path.write_text("whole")
    a, b = temporary("a"), temporary("b")
    assert in_order(recorded, ("sync", a), ("sync", b), ("rename", a), ("rename", b), ("sync", "."))


def test_a_temporary_file_of_an_earlier_process_with_the_same_number(tmp_path: Path) -> None:
    """In a container, a program that was killed and started again has the same number."""
    old, new = tmp_path / temporary("old"), tmp_path / temporary("new")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (files._STARTED - 60,) * 2)
    with atomic_write(tmp_path / "state") as file:
        file.write(b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {new.name, "state"}


def test_temporary_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """Those of running processes, of other machines, and other files are kept."""
    code = """
        import os, signal, sys
        from pathlib import Path
        from hgan.files import atomic_write
        with atomic_write(Path(sys.argv[1]) / "state") as file:
            file.write(b"half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    [stale] = tmp_path.iterdir()
    assert stale.name.endswith(".tmp")
    running = f".b.{files._HOST}-{os.getppid()}.tmp"
    kept = {running, ".c.another-999999999.tmp", "d.tmp", "e"}
    for name in kept:
        (tmp_path / name).touch()
    with atomic_write(tmp_path / "state") as file:
        file.write(b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "state"}
