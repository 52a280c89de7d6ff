"""Where photos are: in a folder, or at an address that fsspec reads, such as an object store's.

    /home/me/Pictures          a folder, see `hgan.sources.folder`
    s3://bucket/2023           objects below a prefix, see `hgan.sources.object_store`

An index remembers the place, and each photo by its path below it.
"""

import re
from pathlib import Path, PurePath, PurePosixPath

from hgan.sources.folder import FolderSource
from hgan.sources.types import Source

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


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
        from hgan.sources.object_store import CloudSource

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
        from hgan.sources.object_store import CloudSource

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
