"""The interface of a source of photos, and the types of listed photos and read photos."""

import hashlib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath

import numpy as np

from hgan.runtime.exif import Exif, read_exif
from hgan.runtime.images import PHOTO_SUFFIXES, open_photo
from hgan.runtime.preprocessing import Preprocessing


@dataclass(frozen=True)
class Photo:
    """A photo in a listing."""

    path: str
    """Path relative to the root, with `/` between folders."""
    size: int
    """Size in bytes."""
    mtime: int
    """Time of the last change, in nanoseconds since 1970; 0 if unknown."""
    etag: str = ""
    """ETag of the photo in an object store; empty for a file."""


@dataclass(frozen=True)
class PhotoContent:
    """A photo that was read. Digest, EXIF and pixels all come from the same bytes."""

    photo: Photo
    """The photo, with its size and time when it was read."""
    data: bytes = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    def exif(self) -> Exif:
        """Time, camera and keywords; empty if the photo has none, or is damaged."""
        return read_exif(self.data)

    def pixels(self, preprocessing: Preprocessing) -> np.ndarray:
        """The input of a model, (size, size, 3) uint8.

        Raises:
            DataError: the bytes are not a photo, or the photo is damaged.
        """
        photo = open_photo(self.data, hint=preprocessing.hint, name=self.photo.path)
        return preprocessing.pixels(photo)


@dataclass
class Listing:
    """All photos of a source."""

    photos: list[Photo] = field(default_factory=list)
    """The photos, folder by folder, sorted by name."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Paths of files and folders that look like photos but cannot be read, with the reason."""
    unread: tuple[str, ...] = ()
    """Folders that could not be listed, as prefixes of paths; their content is unknown."""


class Source(ABC):
    """Photos that can be listed and read."""

    root: Path | str
    """A folder, or an address without a trailing slash."""
    threads: int | None = None
    """Number of photos that are read at the same time; None for one per processor."""

    @abstractmethod
    def find(self) -> Listing:
        """List all photos.

        Raises:
            HganError: the root does not exist, cannot be read, or contains no photos.
        """

    @abstractmethod
    def check(self) -> None:
        """Raise the errors of `find`, but stop at the first photo."""

    @abstractmethod
    def read(self, photo: Photo) -> PhotoContent:
        """Read a photo, at most `LARGEST_PHOTO` bytes.

        Raises:
            DataError: the photo no longer exists, is not a regular file, is too large, or cannot
                be read.
            SourceError: the source cannot be read now.
        """


class Address(PurePosixPath):
    """The address of a photo that is not in a folder, as a path: `s3://bucket/2023/beach.jpg`."""

    def __str__(self) -> str:
        protocol, _, rest = super().__str__().partition(":/")
        return f"{protocol}://{rest.removeprefix('/')}"

    def relative_to(self, *other: str | PurePath) -> PurePosixPath:  # type: ignore[override]
        """The path relative to another address."""
        return PurePosixPath(*super().relative_to(*other).parts)


def is_photo_name(name: str) -> bool:
    """Whether this is the name of a photo file that is not hidden."""
    return Path(name).suffix.lower() in PHOTO_SUFFIXES and not name.startswith(".")


def printable(name: str) -> str:
    """The name with bytes that are not UTF-8 replaced by `\\xff`.

    Python keeps such bytes as lone surrogates, which cannot be printed or stored.
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")
