"""Open a source of photos: a folder, or an address that fsspec reads.

    /home/me/Pictures          a folder, see `hgan.sources.folder`
    s3://bucket/2023           objects below a prefix, see `hgan.sources.object_store`

An index stores the root, and for each photo its path relative to the root. An index of several
folders stores further ones, see `hgan.sources.roots`.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePath

from hgan.sources.folder import FolderSource
from hgan.sources.folders import FoldersSource
from hgan.sources.object_store import ObjectStoreSource
from hgan.sources.roots import Roots
from hgan.sources.types import Address, Photo, Source

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def is_elsewhere(where: Path | str) -> bool:
    """Whether this is an address rather than a folder."""
    return isinstance(where, str) and _ADDRESS.match(where) is not None


def open_source(where: Path | str) -> Source:
    """Open the photos in a folder or at an address.

    Raises:
        ConfigError: the package that reads such addresses is not installed, or photos cannot be
            listed there.
    """
    if is_elsewhere(where) and not str(where).startswith(("file://", "local://")):
        return ObjectStoreSource(str(where))
    return FolderSource(Path(re.sub("^(file|local)://", "", str(where))))


def place_of(root: str) -> PurePath:
    """The root that an index stores, as a path."""
    return Address(root) if is_elsewhere(root) else Path(root)


def roots_of(root: str, folders: Mapping[str, str] | None) -> Roots:
    """The root and the further folders that an index stores, as paths."""
    return Roots(place_of(root), {name: Path(place) for name, place in (folders or {}).items()})


def stored_source(root: str, folders: Mapping[str, str] | None) -> Source:
    """Open the photos of an index.

    Args:
        root: the root that it stores.
        folders: the further folders that it stores, by name.

    Raises:
        ConfigError: see `open_source`.
    """
    if not folders:
        return open_source(root)
    return FoldersSource(Path(root), roots_of(root, folders).others)


def content_of(path: PurePath) -> Path | bytes:
    """The file or the bytes of a photo that a search found, as input of `open_photo`.

    Raises:
        DataError: the photo is in an object store and no longer exists, or cannot be read.
        SourceError: the source cannot be read now.
    """
    if isinstance(path, Address):
        return ObjectStoreSource(str(path.parent)).read(Photo(path.name, 0, 0)).data
    return Path(path)
