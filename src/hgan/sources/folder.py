"""The source for photos in a folder and its subfolders."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from hgan.errors import DataError
from hgan.sources.types import (
    LARGEST_PHOTO,
    TOO_LARGE,
    Listing,
    Photo,
    PhotoContent,
    Source,
    is_photo_name,
    printable,
)
from hgan.sources.walk import FolderItem, UnreadableFolderError, check_any, find_all

_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # otherwise, opening a FIFO would wait for a writer
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class FolderSource(Source):
    """Photos in a folder and its subfolders; hidden folders and links to folders are skipped."""

    def __init__(self, root: Path) -> None:
        """Use the photos below `root`."""
        self.root: Path = root

    def find(self) -> Listing:
        """List all photos.

        Raises:
            HganError: the folder does not exist, cannot be read, or contains no photos.
        """
        self._check_root()
        return find_all(self.root, self._list)

    def check(self) -> None:
        """Raise the errors of `find`, but stop at the first photo."""
        self._check_root()
        check_any(self.root, self._list)

    def read(self, photo: Photo) -> PhotoContent:
        """Read a photo; the size and time in the result are those of the file that was read.

        Raises:
            DataError: see `read_file`.
        """
        data, status = read_file(self.root / photo.path)
        return PhotoContent(Photo(photo.path, status.st_size, status.st_mtime_ns), data)

    def _check_root(self) -> None:
        if not self.root.is_dir():
            raise DataError(f"{self.root}: no such folder")
        name = str(self.root)
        if printable(name) != name:
            raise DataError(f"{printable(name)}: the folder's name is not UTF-8; rename it")

    def _list(self, folder: str) -> Iterator[FolderItem]:
        try:
            with os.scandir(self.root / folder) as found:
                entries = list(found)
        except OSError as error:
            raise UnreadableFolderError(error.strerror) from error
        return map(_item, entries)


def read_file(path: Path) -> tuple[bytes, os.stat_result]:
    """Read a file; returns its bytes, and its status just before they were read.

    The file is opened once, and checks and reads use the same descriptor, so that they refer to the
    same file even if the file is replaced meanwhile.

    Raises:
        DataError: the file does not exist, is not a regular file, is larger than `LARGEST_PHOTO`,
            or cannot be read.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"{path}: not a regular file")
            if status.st_size > LARGEST_PHOTO:
                raise DataError(f"{path}: {TOO_LARGE}")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(LARGEST_PHOTO + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(data) > LARGEST_PHOTO:  # it has grown since `fstat`
        raise DataError(f"{path}: {TOO_LARGE}")
    return data, status


def _item(entry: "os.DirEntry[str]") -> FolderItem:
    try:
        if entry.is_dir(follow_symlinks=False):
            return FolderItem(entry.name, is_folder=True)
        if refusal := _refusal(entry):
            return FolderItem(entry.name, refusal=refusal)
        if not is_photo_name(entry.name):
            return FolderItem(entry.name)
        status = entry.stat()
        return FolderItem(entry.name, size=status.st_size, mtime=status.st_mtime_ns)
    except OSError as error:  # removed meanwhile, or a link to itself
        failed = f"cannot be read ({error.strerror})" if is_photo_name(entry.name) else ""
        return FolderItem(entry.name, refusal=failed)


def _refusal(entry: "os.DirEntry[str]") -> str:
    """The reason to skip an entry that looks like a photo or a folder; empty if there is none."""
    if entry.is_symlink() and entry.is_dir():
        return "a link to a folder is not followed"
    if not is_photo_name(entry.name) or entry.is_file():
        return ""
    return "a link that leads nowhere" if entry.is_symlink() else "not a regular file"
