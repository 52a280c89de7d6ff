"""A temporary copy of a store that cannot be written, because the engine writes when it opens one.

Searching needs no write, but the engine creates its log and maps its files into memory for writing.
It cannot open a read-only folder, and on a full disk the process would end with a bus error. The
copy is in the system's folder for temporary files, and needs as much space as the store.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hgan.errors import IndexingError
from hgan.files import is_abandoned, owner

OPEN_SPACE = 64 * 2**20
"""Free disk space that is required to open a store, in bytes."""

_PREFIX = "hgan-index-"
"""Start of the names of temporary copies; the owner follows."""


def why_not_writable(folder: Path) -> str | None:
    """The reason why the engine cannot open a store in its folder; None if it can."""
    if not folder.exists():
        return None  # the engine reports it
    if not os.access(folder, os.W_OK):
        return "it is read-only"
    free = shutil.disk_usage(folder).free
    if free < OPEN_SPACE:
        return f"the disk is full ({free / 2**20:.0f} MB free)"
    return None


@contextmanager
def temporary_copy(folder: Path, reason: str) -> Iterator[Path]:
    """Copy a store to a temporary folder, which is removed when the block ends.

    Args:
        folder: the store.
        reason: why it cannot be opened in its folder.

    Raises:
        IndexingError: there is not enough space for the copy, or a file cannot be read.
    """
    advice = "set $TMPDIR to a folder with more space, or make the index writable"
    try:
        needed, place = space_used(folder) + OPEN_SPACE, Path(tempfile.gettempdir())
        _remove_abandoned(place)
        free = shutil.disk_usage(place).free
        if free < needed:
            raise IndexingError(
                f"{folder}: {reason}, and {place} has no space for a temporary copy "
                f"({free / 2**20:.0f} MB free, {needed / 2**20:.0f} MB required); {advice}"
            )
        temporary = tempfile.TemporaryDirectory(
            prefix=f"{_PREFIX}{owner()}.", ignore_cleanup_errors=True
        )
    except OSError as error:
        raise IndexingError(
            f"{folder}: {reason}, and cannot be copied ({error.strerror or error}); {advice}"
        ) from error
    with temporary as created:
        copy = Path(created) / folder.name
        try:
            shutil.copytree(folder, copy, copy_function=_copy_sparse)
        except (OSError, shutil.Error) as error:
            raise IndexingError(
                f"{folder}: {reason}, and cannot be copied ({error}); {advice}"
            ) from error
        yield copy


def _remove_abandoned(place: Path) -> None:
    """Remove the copies of processes that were killed."""
    for copy in place.glob(f"{_PREFIX}*.*"):
        with suppress(OSError):  # another process may have removed it
            owner = copy.name.removeprefix(_PREFIX).partition(".")[0]
            if is_abandoned(owner, copy.stat().st_mtime):
                shutil.rmtree(copy, ignore_errors=True)


def space_used(folder: Path) -> int:
    """Bytes on disk of the files below a folder."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_blocks * 512
        except OSError:  # the engine may remove its files at any time
            continue
    return total


def _copy_sparse(source: str, target: str) -> str:
    """Copy a file and its times without its holes; the engine's files consist mostly of holes."""
    if not hasattr(os, "SEEK_DATA"):
        return shutil.copy2(source, target)
    with open(source, "rb") as read, open(target, "wb") as write:  # noqa: PTH123
        size = os.fstat(read.fileno()).st_size
        write.truncate(size)
        position = 0
        while position < size:
            try:
                position = os.lseek(read.fileno(), position, os.SEEK_DATA)
            except OSError:  # only a hole is left
                break
            end = os.lseek(read.fileno(), position, os.SEEK_HOLE)
            read.seek(position)
            write.seek(position)
            while position < end and (block := read.read(min(2**20, end - position))):
                write.write(block)
                position += len(block)
    found = os.stat(source)  # noqa: PTH116
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
    return target
