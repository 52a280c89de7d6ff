"""The photos that lie in a folder and in those below it."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hgan.errors import DataError, HganError
from hgan.files import sha256
from hgan.index.store import Entry
from hgan.runtime.exif import Exif, read_exif
from hgan.runtime.images import PHOTO_SUFFIXES, open_photo, to_pixels

if TYPE_CHECKING:
    from hgan.search.source import Source


@dataclass
class Photo:
    """A photo that was found; its digest and what it says are known once it has been read."""

    path: str
    """Relative to the root, with `/` between folders."""
    size: int
    mtime: int
    """0 where nobody knows."""
    digest: str = ""
    exif: Exif = field(default_factory=Exif)
    etag: str = ""
    """What an object store has for it; empty for a file."""

    @property
    def entry(self) -> Entry:
        """What an index remembers of it."""
        exif = self.exif
        return Entry(
            self.path,
            self.size,
            self.mtime,
            self.digest,
            exif.taken,
            exif.camera,
            exif.tags,
            etag=self.etag,
        )

    def is_same(self, entry: Entry) -> bool:
        """Whether it has not changed since an index remembered it, by all that a listing says."""
        if self.size != entry.size:
            return False
        if self.etag or entry.etag:
            return self.etag == entry.etag
        return self.mtime == entry.mtime and self.mtime != 0

    def read(self, source: "Source") -> Path | bytes:
        """Get what is in it, and learn its digest and what it says.

        Raises:
            DataError: it cannot be read.
            SourceError: nothing can be read there now.
        """
        content = source.content(self.path)
        if isinstance(content, bytes):
            self.digest = hashlib.sha256(content).hexdigest()
        else:
            try:
                self.digest = sha256(content)
            except OSError as error:
                raise DataError(f"{content}: cannot be read ({error.strerror})") from error
        self.exif = read_exif(content)
        return content

    def pixels(self, content: Path | bytes, size: int) -> np.ndarray:
        """(size, size, 3) uint8, as a model reads it.

        Raises:
            DataError: it is no photo, or a damaged one.
        """
        return to_pixels(open_photo(content, hint=size, name=self.path), size)


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
    if printable(str(root)) != str(root):
        raise DataError(f"{printable(str(root))}: the folder's name is not UTF-8; rename it")
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
            skipped[printable(inside)] = f"the folder cannot be read ({error.strerror})"
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
                    skipped[printable(name)] = reason
                elif is_photo_name(entry.name):
                    status = entry.stat()
                    photos.append(Photo(name, status.st_size, status.st_mtime_ns))
            except OSError as error:  # gone while we looked, or a link that leads to itself
                if is_photo_name(entry.name):
                    skipped[printable(name)] = f"cannot be read ({error.strerror})"
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
    if not is_photo_name(entry.name):
        return None
    if not entry.is_file():
        return "a link that leads nowhere" if entry.is_symlink() else "not a file"
    if printable(name) != name:
        return "its name is not UTF-8; rename it"
    return None


def is_photo_name(name: str) -> bool:
    """Whether a file of this name is looked at; hidden ones are not."""
    return Path(name).suffix.lower() in PHOTO_SUFFIXES and not name.startswith(".")


def printable(name: str) -> str:
    """Bytes that are not UTF-8, which Python keeps as lone surrogates, as `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
