"""The photos that lie in a folder and in those below it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hgan.errors import DataError, HganError
from hgan.files import sha256
from hgan.index.store import Entry
from hgan.runtime.exif import Exif, read_exif
from hgan.runtime.images import PHOTO_SUFFIXES, open_photo, to_pixels


@dataclass
class Photo:
    """A photo file that was found; its digest and what it says are known once it has been read."""

    path: str
    """Relative to the root, with `/` between folders."""
    size: int
    mtime: int
    digest: str = ""
    exif: Exif = field(default_factory=Exif)

    @property
    def entry(self) -> Entry:
        """What an index remembers of it."""
        exif = self.exif
        return Entry(
            self.path, self.size, self.mtime, self.digest, exif.taken, exif.camera, exif.tags
        )

    def read(self, root: Path) -> None:
        """Read the file once, for its digest and for what it says.

        Raises:
            DataError: it cannot be read.
        """
        file = root / self.path
        try:
            self.digest = sha256(file)
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror})") from error
        self.exif = read_exif(file)

    def pixels(self, root: Path, size: int) -> np.ndarray:
        """(size, size, 3) uint8, as a model reads it.

        Raises:
            DataError: it is no photo, or a damaged one.
        """
        return to_pixels(open_photo(root / self.path, hint=size), size)


def find_photos(root: Path, skipped: dict[str, str]) -> tuple[list[Photo], tuple[str, ...]]:
    """All photos under a folder in order, and the folders that could not be read, as prefixes.

    Hidden folders, and links to folders, are not entered.

    Args:
        root: the folder.
        skipped: gets what looks like a photo and is none, with the reason.

    Raises:
        HganError: there is no such folder, or no photo in it.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    if _printable(str(root)) != str(root):
        raise DataError(f"{_printable(str(root))}: the folder's name is not UTF-8; rename it")
    photos: list[Photo] = []
    unread: list[str] = []
    waiting = [""]
    while waiting:
        inside = waiting.pop()  # "" or "some/folder/"
        try:
            with os.scandir(root / inside) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if not inside:
                raise DataError(f"{root}: cannot be read ({error.strerror})") from error
            skipped[_printable(inside)] = f"the folder cannot be read ({error.strerror})"
            unread.append(inside)
            continue
        folders = []
        for entry in entries:
            name = inside + entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith("."):
                        folders.append(f"{name}/")
                elif reason := _refusal(entry, name):
                    skipped[_printable(name)] = reason
                elif _is_photo_name(entry.name):
                    status = entry.stat()
                    photos.append(Photo(name, status.st_size, status.st_mtime_ns))
            except OSError as error:  # gone while we looked, or a link that leads to itself
                if _is_photo_name(entry.name):
                    skipped[_printable(name)] = f"cannot be read ({error.strerror})"
        waiting.extend(reversed(folders))
    if not photos:
        raise HganError(
            f"{root}: no photos here, nor in the folders below "
            f"({', '.join(sorted(PHOTO_SUFFIXES))} are looked for)"
        )
    return photos, tuple(unread)


def _refusal(entry: "os.DirEntry[str]", name: str) -> str | None:
    """Why something that looks like a photo, or like a folder, is not taken for one."""
    if entry.is_symlink() and entry.is_dir():
        return "a link to a folder is not followed"
    if not _is_photo_name(entry.name):
        return None
    if not entry.is_file():
        return "a link that leads nowhere" if entry.is_symlink() else "not a file"
    if _printable(name) != name:
        return "its name is not UTF-8; rename it"
    return None


def _is_photo_name(name: str) -> bool:
    return Path(name).suffix.lower() in PHOTO_SUFFIXES and not name.startswith(".")


def _printable(name: str) -> str:
    """Bytes that are not UTF-8, which Python keeps as lone surrogates, as `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
