"""Open a photo's file: once, without waiting, and never more than a maximum size."""

import os
import stat
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


def open_file(path: Path) -> tuple[BinaryIO, os.stat_result]:
    """Open a photo's file for reading; returns it with its status.

    The file is opened once, and checks and reads use the same descriptor, so that they refer to the
    same file even if the file is replaced meanwhile.

    Raises:
        DataError: the file does not exist, is not a regular file, is larger than `LARGEST_PHOTO`,
            or cannot be opened.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise _unreadable(path, error) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: not a regular file")
        if status.st_size > LARGEST_PHOTO:
            raise DataError(f"{path}: {TOO_LARGE}")
        return os.fdopen(descriptor, "rb"), status
    except BaseException:
        os.close(descriptor)
        raise


def read_file(path: Path) -> tuple[bytes, os.stat_result]:
    """Read a photo's file; returns its bytes, and its status just before they were read.

    Raises:
        DataError: see `open_file`; or the file cannot be read.
    """
    file, status = open_file(path)
    with file:
        try:
            data = file.read(LARGEST_PHOTO + 1)
        except OSError as error:
            raise _unreadable(path, error) from error
    if len(data) > LARGEST_PHOTO:  # it has grown since `fstat`
        raise DataError(f"{path}: {TOO_LARGE}")
    return data, status


def _unreadable(path: Path, error: OSError | ValueError) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: no such file")
    return DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})")
