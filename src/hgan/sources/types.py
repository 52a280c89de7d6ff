"""The interface of a source of photos, and the types of listed photos and read photos."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple, Self

import numpy as np

from hgan.errors import DataError
from hgan.runtime.fingerprint import fingerprint, to_hex
from hgan.runtime.formats import VIDEO, is_video, kind_of
from hgan.runtime.images import open_photo
from hgan.runtime.metadata.read import read_metadata
from hgan.runtime.metadata.types import Metadata
from hgan.runtime.metadata.xmp import LARGEST_XMP, from_xmp
from hgan.runtime.preprocessing import Preprocessing
from hgan.sources.left_out import LEAST_SIDE, LeftOut
from hgan.sources.rules import Rules
from hgan.sources.sidecars import Sidecar


@dataclass(frozen=True)
class Photo:
    """A photo in a listing."""

    path: str
    """Path relative to the root, with `/` between folders; for a frame of a video, followed by its
    number, see `hgan.runtime.video`."""
    size: int
    """Size of the file in bytes."""
    mtime: int
    """Time of the last change, in nanoseconds since 1970; 0 if unknown."""
    etag: str = ""
    """ETag of the photo in an object store; empty for a file."""
    sidecars: tuple[Sidecar, ...] = ()
    """Its XMP sidecars, the one that is believed first at the front."""

    @property
    def sidecar_state(self) -> str:
        """A text that changes with the sidecars, as far as a listing shows; empty without any."""
        if not self.sidecars:
            return ""
        states = "\n".join(sidecar.state for sidecar in self.sidecars)
        return hashlib.sha256(states.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    @property
    def state(self) -> tuple[int, int, str]:
        """Changes with the file and its sidecars, as far as a listing shows."""
        return self.size, self.mtime, self.sidecar_state


@dataclass(frozen=True)
class PhotoContent:
    """A photo that was read. Digest, metadata and pixels all come from the same bytes."""

    photo: Photo
    """The photo, with its size and time when it was read."""
    data: bytes = field(repr=False)
    sidecars: tuple[Metadata, ...] = ()
    """The metadata of its sidecars, the one that is believed first at the front."""
    problems: tuple[tuple[str, str], ...] = ()
    """Paths of sidecars that cannot be read, with the reason."""
    moment: float | None = None
    """For a frame of a video, seconds since its start; None for a photo."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    def metadata(self) -> Metadata:
        """What the photo and its sidecars say; empty if they say nothing, or are damaged."""
        return read_metadata(self.data, self.photo.path, self.sidecars)

    def decode(self, preprocessing: Preprocessing) -> "Decoded":
        """The input of a model, and the fingerprint.

        Raises:
            TooSmallError: a side has fewer than `LEAST_SIDE` pixels.
            DataError: the bytes are not a photo, or the photo is damaged.
        """
        photo = open_photo(self.data, preprocessing.hint, self.photo.path, LEAST_SIDE)
        return Decoded(preprocessing.pixels(photo), to_hex(fingerprint(photo)))


class Decoded(NamedTuple):
    """What is computed from the pixels of a photo."""

    pixels: np.ndarray
    """The input of a model, (size, size, 3) uint8."""
    fingerprint: str
    """The perceptual fingerprint, hexadecimal."""


@dataclass
class Listing:
    """All photos of a source."""

    photos: list[Photo] = field(default_factory=list)
    """The photos, folder by folder, sorted by name."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Paths of files and folders that look like photos but cannot be read, with the reason."""
    left_out: LeftOut = field(default_factory=LeftOut)
    """Other files, except those in ignored folders."""
    ignored: dict[str, str] = field(default_factory=dict)
    """Ignored folders, as prefixes of paths, with the rule that ignores each."""
    unread: tuple[str, ...] = ()
    """Folders that could not be listed, as prefixes of paths; their content is unknown."""
    read: tuple[str, ...] = ()
    """Folders in those of `unread` that were listed all the same, as prefixes of paths."""
    absent: dict[str, str] = field(default_factory=dict)
    """Of several folders, those that cannot be read now, with the reason."""
    elsewhere: int = 0
    """Number of photos that are not listed because others look after them; see `Source.part`."""

    def is_unknown(self, path: str) -> bool:
        """Whether the photo with this path is in a folder whose content is unknown."""
        above = [folder for folder in (*self.unread, *self.read) if path.startswith(folder)]
        return bool(above) and max(above, key=len) in self.unread

    def sidecars(self) -> set[str]:
        """Paths of the XMP sidecars of all photos."""
        return {sidecar.path for photo in self.photos for sidecar in photo.sidecars}


class FolderItem(NamedTuple):
    """A file or folder in the listing of a folder."""

    name: str
    is_folder: bool = False
    refusal: str = ""
    """Reason to skip it, although it looks like a photo or a folder of photos; empty for none."""
    size: int = 0
    mtime: int = 0
    etag: str = ""


class UnreadableFolderError(DataError):
    """A folder cannot be listed; the message contains only the reason."""


class Source(ABC):
    """Photos that can be listed and read."""

    root: Path | str
    """A folder, or an address without a trailing slash; the first one of several folders."""
    folders: Mapping[str, Path] = {}
    """Further folders by name, see `hgan.sources.roots`."""
    rules: Rules = Rules.of()
    """Which files are ignored, apart from the `.hganignore` files of the source."""
    threads: int | None = None
    """Number of photos that are read at the same time; None for one per processor."""
    reads_videos: bool = False
    """Whether frames of videos are listed and read."""
    holds: Callable[[str], bool] | None = None
    """Whether the photo with a path is listed; None if all are."""

    def excluding(self, rules: Iterable[str]) -> Self:
        """The same source without the files that these rules of gitignore match.

        Raises:
            ConfigError: a rule is not valid.
        """
        source = copy(self)
        source.rules = Rules.of(rules)
        return source

    def part(self, holds: Callable[[str], bool]) -> Self:
        """The same source with a part of its photos: only they are listed.

        Args:
            holds: whether the photo with a path is in this part.
        """
        source = copy(self)
        source.holds = holds
        return source

    def locate(self, path: str) -> "tuple[Source, str]":
        """The source of a single folder that has a photo, and the path of the photo there."""
        return self, path

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
    def glance(self, photo: Photo) -> None:
        """Look at the start of a photo's file, without reading all of it.

        Raises:
            DataError: an error of `PhotoContent.pixels` that is seen there.
        """

    @abstractmethod
    def list_folder(self, folder: str) -> Iterable[FolderItem]:
        """List one folder, in any order.

        Args:
            folder: `""` for the root, or a path with a trailing slash such as `2023/italy/`.

        Raises:
            UnreadableFolderError: this folder cannot be listed, but others may.
            HganError: the source cannot be read.
        """

    def is_live_clip(self, path: str) -> bool:
        """Whether the video with this path may be the clip of a Live Photo, by the headers in its
        file; see `hgan.runtime.live_photo`. False where videos are not read."""
        return False

    def content(self, photo: Photo) -> PhotoContent:
        """Read a photo and its sidecars; those that cannot be read are in `problems`.

        Raises:
            DataError: the photo cannot be read, see `read`.
            SourceError: the source cannot be read now.
        """
        found: list[Metadata] = []
        problems: list[tuple[str, str]] = []
        for sidecar in photo.sidecars:
            try:
                if sidecar.size > LARGEST_XMP:
                    raise DataError(f"larger than the limit of {LARGEST_XMP // 2**20} MB")
                found.append(from_xmp(self.read(Photo(sidecar.path, sidecar.size, 0)).data))
            except DataError as error:
                problems.append((sidecar.path, str(error)))
        return replace(self.read(photo), sidecars=tuple(found), problems=tuple(problems))

    @abstractmethod
    def read(self, photo: Photo) -> PhotoContent:
        """Read a photo without its sidecars, at most `LARGEST_PHOTO` bytes.

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
    """Whether this is the name of a photo that can be read here."""
    kind = kind_of(name)
    return kind is not None and kind.readable


def is_video_name(name: str) -> bool:
    """Whether this is the name of a video that can be read here."""
    return is_video(name) and VIDEO.readable


def printable(name: str) -> str:
    """The name with bytes that are not UTF-8 replaced by `\\xff`.

    Python keeps such bytes as lone surrogates, which cannot be printed or stored.
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")
