"""What a source of photos is, whichever place it reads: photos that can be listed and read."""

import hashlib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hgan.errors import DataError
from hgan.files import sha256
from hgan.runtime.exif import Exif, read_exif
from hgan.runtime.images import PHOTO_SUFFIXES, open_photo, to_pixels


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


class Source(ABC):
    """Photos that can be listed and read."""

    root: Path | str
    """A folder, or an address without a slash at its end."""
    threads: int | None = None
    """How many photos are read at once; None for one a processor."""

    @abstractmethod
    def find(self, skipped: dict[str, str]) -> tuple[list[Photo], tuple[str, ...]]:
        """All photos in order, and the folders that could not be read, as prefixes.

        Args:
            skipped: gets what looks like a photo and is none, with the reason.

        Raises:
            HganError: there is no such place, it cannot be reached, or holds no photo.
        """

    @abstractmethod
    def content(self, path: str) -> Path | bytes:
        """A photo as `open_photo` takes it: a file to read, or what has been read.

        Args:
            path: of the photo below the root.

        Raises:
            DataError: it has gone, or cannot be read.
            SourceError: nothing can be read there now.
        """


def is_photo_name(name: str) -> bool:
    """Whether a file of this name is looked at; hidden ones are not."""
    return Path(name).suffix.lower() in PHOTO_SUFFIXES and not name.startswith(".")


def printable(name: str) -> str:
    """Bytes that are not UTF-8, which Python keeps as lone surrogates, as `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
