"""Open a photo's file: once, without waiting, and never more than a maximum size."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from hgan.errors import DataError

LARGEST_PHOTO = 128 * 2**20
"""Maximum size of a photo's file in bytes; the file is kept in memory while it is decoded."""
TOO_LARGE = f"larger than the limit of {LARGEST_PHOTO // 2**20} MB; make a smaller copy of it"

_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # otherwise, opening a FIFO would wait for a writer
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def open_file(path: Path, most: int | None = LARGEST_PHOTO) -> tuple[BinaryIO, os.stat_result]:
    """Open a photo's file for reading; returns it with its status.

    The file is opened once, and checks and reads use the same descriptor, so that they refer to the
    same file even if the file is replaced meanwhile.

    Args:
        path: the file.
        most: maximum size in bytes; None for a video, which is never read as a whole.

    Raises:
        DataError: the file does not exist, is not a regular file, is larger than `most`, or cannot
            be opened.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise _unreadable(path, error) from error
    return _checked(descriptor, path, most)


def open_inside(
    root: Path, inner: str, most: int | None = LARGEST_PHOTO
) -> tuple[BinaryIO, os.stat_result]:
    """Open a photo's file below a folder; links are followed, but not out of the folder.

    The links are resolved first. Then the file and the folders above it are opened one inside the
    other without following links, so that none of them can be replaced by a link in between.

    Args:
        root: the folder.
        inner: path of the file, relative to the folder.
        most: see `open_file`.

    Raises:
        DataError: see `open_file`; or the file is outside of the folder.
    """
    path = root / inner
    try:
        root = root.resolve(strict=True)
        parts = path.resolve(strict=True).relative_to(root).parts
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise DataError(f"{path}: a link that leads out of the folder") from error
    try:
        descriptor = _open_without_links(root, parts)
    except OSError as error:
        raise _unreadable(path, error) from error
    return _checked(descriptor, path, most)


def read_file(path: Path) -> tuple[bytes, os.stat_result]:
    """Read a photo's file; returns its bytes, and its status just before they were read.

    Raises:
        DataError: see `open_file`; or the file cannot be read.
    """
    file, status = open_file(path)
    with file:
        return read_all(file, path), status


def read_all(file: BinaryIO, path: Path) -> bytes:
    """Read the bytes of an open file from its start; `path` is its name in error messages.

    Raises:
        DataError: the file cannot be read, or has grown to more than `LARGEST_PHOTO` bytes.
    """
    try:
        file.seek(0)
        data = file.read(LARGEST_PHOTO + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(data) > LARGEST_PHOTO:
        raise DataError(f"{path}: {TOO_LARGE}")
    return data


def _checked(descriptor: int, path: Path, most: int | None) -> tuple[BinaryIO, os.stat_result]:
    """The file of a descriptor, which is closed if it is not an acceptable file."""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: not a regular file")
        if most is not None and status.st_size > most:
            raise DataError(f"{path}: {TOO_LARGE}")
        return os.fdopen(descriptor, "rb"), status
    except BaseException:
        os.close(descriptor)
        raise


def _open_without_links(root: Path, parts: Sequence[str]) -> int:
    """Open a file below a folder; a link in its path is an `OSError`."""
    if not parts or os.open not in os.supports_dir_fd:  # the folder itself; Windows
        return os.open(root.joinpath(*parts), _OPEN_FLAGS)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            inner = os.open(part, flags, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(parts[-1], _OPEN_FLAGS | os.O_NOFOLLOW, dir_fd=folder)
    finally:
        os.close(folder)


def _unreadable(path: Path, error: OSError | RuntimeError | ValueError) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: no such file")
    return DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})")
