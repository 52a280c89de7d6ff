"""Write files and folders atomically: temporary name, fsync, rename; safe if a process is killed.

The order is always the same: sync the new files, sync their folder, rename, sync the folder of the
new name. The previous content is removed last.

The name of a temporary file contains the host and the process that writes it. If that process was
killed, the file is removed the next time that a program writes to the folder.

Folders that are read much later, such as checkpoints, also contain the checksums of their files. A
lock prevents that two processes write to the same folder.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import Any, BinaryIO

from hgan.errors import DataError

CHECKSUMS = "checksums.json"
"""File with the SHA-256 of the other files of a folder."""

_HOST = re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())[:32] or "host"
_STARTED = time.time()
"""When this process started, before it has written anything."""
_TEMPORARY = re.compile(r"\..*\.(?P<owner>\w+-\d+)\.tmp", re.DOTALL)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing; it appears at `path` only when the block ends without an error.

    Raises:
        OSError: the disk is full or the folder cannot be written; `path` is not changed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale_once(path.parent)
    temporary = _temporary(path)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, readable by people (indented, keys in the order given)."""
    with atomic_write(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that may come from anybody.

    Raises:
        ValueError: it is not JSON, or not in a Unicode encoding, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@contextmanager
def new_files(folder: Path, names: Iterable[str]) -> Iterator[dict[str, Path]]:
    """Create several files together, once all of them are complete.

    Yields:
        The temporary path of each name. When the block ends without an error, the files are synced
        and renamed, in the order of the names.

    Raises:
        DataError: one of the files already exists.
    """
    names = list(names)
    refuse_existing(folder / name for name in names)
    folder.mkdir(parents=True, exist_ok=True)
    _remove_stale_once(folder)
    temporary = {name: _temporary(folder / name) for name in names}
    try:
        yield temporary
        for path in temporary.values():
            _sync_file(path)
        for name, path in temporary.items():
            path.replace(folder / name)
        sync_folder(folder)
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)


def refuse_existing(paths: Iterable[Path]) -> None:
    """Raise `DataError` if one of the paths exists: files of the user are never overwritten."""
    for path in paths:
        if path.exists():
            raise DataError(f"{path} already exists; remove it, or choose another target")


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Write a new folder, then replace the old one by it; if killed, one of them is complete.

    Files of the old folder that are missing in the new one (a user's notes, a `.git`) are copied.
    If the process is killed between the two renames, `recover_folder` restores the old folder.

    Args:
        folder: the folder to replace; it need not exist.
        write: called with an empty folder, which it fills.

    Raises:
        OSError: the disk is full or the folder cannot be written; `folder` is not changed.
    """
    folder = folder.resolve()  # for a symbolic link, its target is replaced
    new, old = _neighbours(folder)
    recover_folder(folder)
    new.mkdir(parents=True)
    try:
        write(new)
        if folder.exists():
            _copy_missing(folder, new)
        _sync_tree(new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        recover_folder(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(folder: Path) -> None:
    """Restore the old folder if `replace_folder` was killed between its two renames, and remove
    what it has left; no other process may be writing the folder."""
    folder = folder.resolve()
    new, old = _neighbours(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)


def remove_stale(folder: Path) -> None:
    """Remove the temporary files of killed processes of this machine from a folder."""
    with suppress(OSError), os.scandir(folder) as found:  # the folder may not be readable
        for entry in found:
            match = _TEMPORARY.fullmatch(entry.name)
            if match:
                with suppress(OSError):  # another process may have removed it
                    if is_abandoned(match["owner"], entry.stat().st_mtime):
                        os.unlink(entry.path)  # noqa: PTH108


def owner() -> str:
    """This host and process, as a part of names of temporary files and folders."""
    return f"{_HOST}-{os.getpid()}"


def is_abandoned(owner: str, changed: float) -> bool:
    """Whether the process that made a temporary file no longer runs.

    In a container, the program usually has the same process number each time that it starts.

    Args:
        owner: see `owner`.
        changed: time of the last change of the file, in seconds since 1970.
    """
    host, _, process = owner.rpartition("-")
    if host != _HOST or os.name == "nt":  # on Windows, `os.kill` would end the process
        return False
    if process == str(os.getpid()):
        return changed < _STARTED - 1.0  # file systems do not store the exact time
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk, on systems where a folder can be opened."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of these files of a folder to `CHECKSUMS`."""
    write_json(folder / CHECKSUMS, {name: sha256(folder / name) for name in names})


def check_checksums(folder: Path, remedy: str) -> None:
    """Compare the files of a folder with `CHECKSUMS`; folders of older versions have none.

    Args:
        folder: the folder.
        remedy: what the user can do if a file is damaged, for the error message.

    Raises:
        DataError: a file is missing or damaged.
    """
    listed = folder / CHECKSUMS
    if not listed.exists():
        return
    try:
        checksums = parse_json(listed.read_text(encoding="utf-8"))
        if not isinstance(checksums, dict) or any(Path(name).name != name for name in checksums):
            raise ValueError("not checksums by file name")
    except (OSError, ValueError) as error:
        raise DataError(f"{listed}: damaged ({error}); {remedy}") from error
    for name, checksum in checksums.items():
        try:
            intact = sha256(folder / name) == checksum
        except OSError as error:
            raise DataError(f"{folder / name}: {error.strerror}; {remedy}") from error
        if not intact:
            raise DataError(
                f"{folder / name}: damaged, its checksum is not the one in {CHECKSUMS}; {remedy}"
            )


NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""Error codes of `lock_file` for a file system without locks."""


def lock_file(path: Path, create: bool = True, wait: float = 0.0) -> BinaryIO:
    """Open a file, and lock it for this process until it is closed.

    The operating system releases the lock even if the process is killed. On Windows, files are not
    locked.

    Args:
        path: the file.
        create: whether the file is created if it does not exist.
        wait: seconds to wait for another process.

    Raises:
        BlockingIOError: another process has locked it.
        OSError: it cannot be opened, or the file system has no locks.
    """
    file = path.open("wb" if create else "rb")
    try:
        import fcntl
    except ImportError:  # Windows
        return file
    deadline = monotonic() + wait
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return file
            except BlockingIOError:
                if monotonic() > deadline:
                    raise
            sleep(0.05)
    except BaseException:
        file.close()
        raise


def is_locked(path: Path) -> bool:
    """Whether a process has locked a file; see `lock_file`."""
    try:
        lock_file(path, create=False).close()
    except BlockingIOError:
        return True
    except OSError:  # there is no such file, or there are no locks
        pass
    return False


def jsonable(value: Any) -> Any:
    """Convert settings to JSON values: paths become strings."""
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{owner()}.tmp")


@cache
def _remove_stale_once(folder: Path) -> None:
    """Only once per process and folder, because a folder may have many files."""
    remove_stale(folder)


def _neighbours(folder: Path) -> tuple[Path, Path]:
    """Temporary paths of the new and the old folder in `replace_folder`."""
    return folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")


def _copy_missing(old: Path, new: Path) -> None:
    for entry in old.iterdir():
        target = new / entry.name
        if target.exists():
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, target, symlinks=True)
        else:
            shutil.copy2(entry, target, follow_symlinks=False)


def _sync_tree(folder: Path) -> None:
    """Sync every file below a folder, then the folders, the innermost first."""
    for where, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(where) / name
            if not path.is_symlink():
                _sync_file(path)
        sync_folder(Path(where))


def _sync_file(path: Path) -> None:
    # Windows syncs only files that are open for writing; on other systems, it may be read-only.
    with path.open("rb+" if os.name == "nt" else "rb") as file:
        os.fsync(file.fileno())
