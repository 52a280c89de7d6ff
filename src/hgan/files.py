"""State on disk: written to a temporary name, synced, renamed, so that a kill loses nothing.

Sync and rename come in this order everywhere: the bytes of the new files, the names in their
folder, the rename, the folder that the rename changed. What was there is removed last.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from hgan.errors import DataError


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under `path` only when the block ends without error.

    Raises:
        OSError: the disk is full or the folder cannot be written; `path` is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
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


@contextmanager
def new_files(folder: Path, names: Iterable[str]) -> Iterator[dict[str, Path]]:
    """Several files that appear together, once all of them are complete.

    Yields:
        The temporary path of each name. When the block ends without error, the files are synced
        and renamed, in the order of the names.

    Raises:
        DataError: one of them exists already.
    """
    names = list(names)
    refuse_existing(folder / name for name in names)
    folder.mkdir(parents=True, exist_ok=True)
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
    """Raise `DataError` if one of these exists: files of the user are never overwritten."""
    for path in paths:
        if path.exists():
            raise DataError(f"{path} exists already; remove it, or name another target")


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Write a new folder, then put it in the place of the old one; a kill leaves one of the two.

    Files of the old folder that the new one lacks (a user's notes, a `.git`) are copied over.
    A kill between the two renames is undone by `recover_folder`.

    Args:
        folder: what is replaced; it need not exist.
        write: fills the empty folder that it is given.

    Raises:
        OSError: the disk is full or the folder cannot be written; `folder` is left as it was.
    """
    folder = folder.resolve()  # of a symbolic link, what it points to is replaced
    new, old = _neighbours(folder)
    recover_folder(folder)
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
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
        shutil.rmtree(new, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(folder: Path) -> None:
    """Undo a `replace_folder` that was killed between its two renames."""
    folder = folder.resolve()
    _, old = _neighbours(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)


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


def jsonable(value: Any) -> Any:
    """Settings as JSON has them: paths as text."""
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _neighbours(folder: Path) -> tuple[Path, Path]:
    """Where `replace_folder` keeps the new and the old folder."""
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
    # Windows syncs only what is open for writing; elsewhere, a file may be read-only.
    with path.open("rb+" if os.name == "nt" else "rb") as file:
        os.fsync(file.fileno())
