"""A photo that was listed, a photo that was read, and what every source of photos can do."""

import hashlib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath

import numpy as np

from hgan.runtime.exif import Exif, read_exif
from hgan.runtime.images import PHOTO_SUFFIXES, open_photo, to_pixels

LARGEST_PHOTO = 128 * 2**20
"""Bytes of the largest photo that is read, since a photo is held in memory while it is decoded."""
TOO_LARGE = f"larger than the {LARGEST_PHOTO // 2**20} MB that are read; make a smaller copy of it"


@dataclass(frozen=True)
class Photo:
    """A photo as a listing describes it."""

    path: str
    """Relative to the root, with `/` between folders."""
    size: int
    """In bytes."""
    mtime: int
    """Time of the last change, in nanoseconds since 1970; 0 if unknown."""
    etag: str = ""
    """The version that an object store gives it; empty for a file."""


@dataclass(frozen=True)
class PhotoContent:
    """A photo that was read. Digest, EXIF and pixels all come from the same bytes."""

    photo: Photo
    """With the size and time that it had when it was read."""
    data: bytes = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    def exif(self) -> Exif:
        """Time, camera and keywords; empty if the photo has none, or is damaged."""
        return read_exif(self.data)

    def pixels(self, size: int) -> np.ndarray:
        """(size, size, 3) uint8, the input of a model.

        Raises:
            DataError: the bytes are not a photo, or a damaged one.
        """
        return to_pixels(open_photo(self.data, hint=size, name=self.photo.path), size)


@dataclass
class Listing:
    """All photos of a source."""

    photos: list[Photo] = field(default_factory=list)
    """Folder by folder, in the order of names."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Paths of files and folders that look like photos but cannot be read, with the reason."""
    unread: tuple[str, ...] = ()
    """Folders that could not be listed, as prefixes of paths; what is in them is unknown."""


class Source(ABC):
    """Photos that can be listed and read."""

    root: Path | str
    """A folder, or an address without a slash at its end."""
    threads: int | None = None
    """How many photos are read at once; None for one per processor."""

    @abstractmethod
    def find(self) -> Listing:
        """List all photos.

        Raises:
            HganError: the root does not exist, cannot be read, or holds no photo.
        """

    @abstractmethod
    def check(self) -> None:
        """Raise what `find` would raise, but stop at the first photo."""

    @abstractmethod
    def read(self, photo: Photo) -> PhotoContent:
        """Read a photo, at most `LARGEST_PHOTO` bytes.

        Raises:
            DataError: it does not exist any more, is not a regular file, is too large or cannot be
                read.
            SourceError: nothing can be read from this source now.
        """


class Address(PurePosixPath):
    """The address of a photo that is not in a folder, as a path: `s3://bucket/2023/beach.jpg`."""

    def __str__(self) -> str:
        protocol, _, rest = super().__str__().partition(":/")
        return f"{protocol}://{rest.removeprefix('/')}"

    def relative_to(self, *other: str | PurePath) -> PurePosixPath:  # type: ignore[override]
        """The path below another address."""
        return PurePosixPath(*super().relative_to(*other).parts)


def is_photo_name(name: str) -> bool:
    """Whether a file of this name is taken for a photo; hidden files are not."""
    return Path(name).suffix.lower() in PHOTO_SUFFIXES and not name.startswith(".")


def printable(name: str) -> str:
    """A name whose bytes that are not UTF-8 are written as `\\xff`.

    Python keeps such bytes as lone surrogates, which cannot be printed or stored.
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")
