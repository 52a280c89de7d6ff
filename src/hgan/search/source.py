"""Where photos are: in a folder, or at an address that fsspec reads, such as an object store's.

    /home/me/Pictures          a folder, see `hgan.search.walk`
    s3://bucket/2023           objects below a prefix, see `hgan.search.cloud`

An index remembers the place, and each photo by its path below it.
"""

import re
from abc import ABC, abstractmethod
from pathlib import Path, PurePath, PurePosixPath

from hgan.search.walk import Photo, find_photos

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


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


class FolderSource(Source):
    """Photos in a folder and in those below it."""

    def __init__(self, root: Path) -> None:
        """Of this folder."""
        self.root: Path = root

    def find(self, skipped: dict[str, str]) -> tuple[list[Photo], tuple[str, ...]]:
        """All photos in order; see `find_photos`."""
        return find_photos(self.root, skipped)

    def content(self, path: str) -> Path:
        """The file of a photo."""
        return self.root / path


class Address(PurePosixPath):
    """The address of a photo that is in no folder, as a path: `s3://bucket/2023/beach.jpg`."""

    def __str__(self) -> str:
        protocol, _, rest = super().__str__().partition(":/")
        return f"{protocol}://{rest.removeprefix('/')}"

    def relative_to(self, *other: str | PurePath) -> PurePosixPath:  # type: ignore[override]
        """The path below another address."""
        return PurePosixPath(*super().relative_to(*other).parts)

    def read(self) -> bytes:
        """The photo's bytes.

        Raises:
            DataError: it has gone, or cannot be read.
            SourceError: nothing can be read there now.
        """
        from hgan.search.cloud import CloudSource

        return CloudSource(str(self.parent)).content(self.name)


def is_elsewhere(where: Path | str) -> bool:
    """True for an address, false for a folder."""
    return isinstance(where, str) and _ADDRESS.match(where) is not None


def open_source(where: Path | str) -> Source:
    """Photos in a folder or at an address.

    Raises:
        ConfigError: what reads such addresses is not installed, or photos cannot be listed there.
    """
    if is_elsewhere(where) and not str(where).startswith(("file://", "local://")):
        from hgan.search.cloud import CloudSource

        return CloudSource(str(where))
    return FolderSource(Path(re.sub("^(file|local)://", "", str(where))))


def place_of(root: str) -> PurePath:
    """The root that an index remembers, as a path."""
    return Address(root) if is_elsewhere(root) else Path(root)


def content_of(path: PurePath) -> Path | bytes:
    """A photo that a search found, as `open_photo` takes it.

    Raises:
        DataError: it has gone, or cannot be read.
        SourceError: nothing can be read there now.
    """
    return path.read() if isinstance(path, Address) else Path(path)
