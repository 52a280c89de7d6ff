"""Files that fuzz targets read: one input becomes one file, or the files of a folder."""

import atexit
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hgan.errors import HganError

BETWEEN = b"\n-----\n"
"""What is between the files of a folder in one input."""


def write(name: str, data: bytes) -> Path:
    """Write a file of this name, over that of the input before."""
    path = _folder() / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def write_all(names: Sequence[str], data: bytes) -> None:
    """Write the files of one folder; those that the input has no bytes for are missing."""
    parts = data.split(BETWEEN, len(names) - 1)
    for name, part in zip(names, parts, strict=False):
        write(name, part)
    for name in names[len(parts) :]:
        (_folder() / name).unlink(missing_ok=True)


def folder(name: str) -> Path:
    """The folder of this name."""
    return _folder() / name


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Check that errors name the file."""
    try:
        yield
    except HganError as error:
        assert str(path) in str(error), f"does not name {path.name}: {error}"
        raise


@cache
def _folder() -> Path:
    memory = Path("/dev/shm")  # a disk can be a hundred times slower
    made = TemporaryDirectory(prefix="hgan-fuzz-", dir=memory if memory.is_dir() else None)
    atexit.register(made.cleanup)
    return Path(made.name)
