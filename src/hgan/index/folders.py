"""Which folders an index has: those that it has stored, and those that are named for a run.

The first folder of an index stays the first one, and others are added under their names. A run for
some of the folders looks at these only, and keeps the photos of the others.
"""

import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from hgan.errors import ConfigError, DataError, IndexingError
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.open import is_address, read_manifest
from hgan.sources.folder import FolderSource
from hgan.sources.folders import FoldersSource, check_each
from hgan.sources.open import open_source, stored_source
from hgan.sources.types import Source

Folders = Path | str | Sequence[Path | str]
"""A folder of photos, an address of photos, or several folders."""


def source_of(manifest: IndexManifest) -> Source:
    """All photos of an index, without the rules that it has kept.

    Raises:
        ConfigError: see `open_source`.
    """
    return stored_source(manifest.root, manifest.folders)


def open_photos(
    photos: Folders, to: Path | str | None = None, exclude: Sequence[str] | None = None
) -> Source:
    """Open the photos that are named for a run.

    Args:
        photos: a folder or an address; or several folders, some or all of those of the index, or
            all of them and new ones.
        to: the index, a folder or the address of a collection on a server; None for a new one.
        exclude: rules of gitignore for files to leave out; by default those of the index.

    Raises:
        ConfigError: several folders overlap, or one of them is an address or a file.
        DataError: a new one of several folders does not exist, or contains no photos.
        IndexingError: the index has other folders.
    """
    named = [photos] if isinstance(photos, Path | str) else list(photos)
    if not named:
        raise ConfigError("name at least one folder of photos")
    manifest = None if to is None else _stored(to)
    if len(named) == 1 and not (manifest and manifest.folders):
        return open_source(named[0])
    given = [_folder(one) for one in named]
    _refuse_overlap(given)
    stored = {} if manifest is None else _stored_folders(manifest, to)
    new = [folder for folder in given if folder not in stored.values()]
    if new:
        _check_whole(to, list(stored.values()), given, new)
        _check_first(stored)
        _refuse_overlap([*stored.values(), *new])
    first = next(iter(stored.values()), given[0])
    named_folders = {name: folder for name, folder in stored.items() if name}
    for folder in new if stored else new[1:]:
        named_folders[_name(folder, first, named_folders)] = folder
    source = FoldersSource(
        first, named_folders, [n for n, f in {"": first, **named_folders}.items() if f in given]
    )
    rules = exclude if exclude is not None or manifest is None else manifest.exclude
    added = [name for name, folder in {"": first, **named_folders}.items() if folder in new]
    if added:
        check_each(FoldersSource(first, named_folders, added).excluding(rules or ()))
    return source


def completed(source: Source, manifest: IndexManifest) -> Source:
    """The source with all folders of an index; it lists the same ones as before."""
    if not manifest.folders or source.folders.keys() == manifest.folders.keys():
        return source
    chosen = source.chosen if isinstance(source, FoldersSource) else {""}
    whole = source_of(manifest)
    return FoldersSource(Path(manifest.root), whole.folders, chosen)


def _stored(to: Path | str) -> IndexManifest | None:
    """The manifest of an index; None if there is none, or if it is damaged, which is reported when
    it is opened."""
    try:
        return read_manifest(to if is_address(to) else Path(to))
    except IndexingError:
        return None


def _folder(named: Path | str) -> Path:
    """One of several folders, with links resolved.

    Raises:
        ConfigError: it is an address or a file.
    """
    source = open_source(named)
    if not isinstance(source, FolderSource):
        raise ConfigError(
            f"{named}: is an address, and an index has one address or folders; index it into "
            "another index"
        )
    if source.root.is_file():
        raise ConfigError(
            f"{named}: is a file, and an index has one file of texts or folders of photos; index "
            "it into another index"
        )
    return source.root.resolve()


def _stored_folders(manifest: IndexManifest, to: object) -> dict[str, Path]:
    """The folders of an index by name.

    Raises:
        IndexingError: it has none.
    """
    source = source_of(manifest) if manifest.holds == "photos" else None
    if not isinstance(source, FolderSource | FoldersSource):
        raise IndexingError(
            f"{to}: contains the {manifest.holds} of {manifest.root}, to which no folder can be "
            "added; index the folders into another index"
        )
    return {"": source.root, **source.folders}


def _check_whole(
    to: object, stored: Sequence[Path], given: Sequence[Path], new: Sequence[Path]
) -> None:
    """Raise `IndexingError` if folders are named that would be added, but not those that the index
    has: they may have been meant for another index."""
    if set(stored) <= set(given):
        return
    raise IndexingError(
        f"{to}: contains the photos of {_listed(stored)}; index {_listed(new)} into another index, "
        f"or name all folders to add to it: "
        f"`{shlex.join(['hgan', 'index', *map(str, [*stored, *new]), '--to', str(to)])}`"
    )


def _check_first(stored: Mapping[str, Path]) -> None:
    """Raise `DataError` if the first folder is absent: names of new ones must be free in it."""
    if stored and not stored[""].is_dir():
        raise DataError(f"{stored['']}: no such folder; it must be here when another one is added")


def _refuse_overlap(folders: Sequence[Path]) -> None:
    """Raise `ConfigError` if a folder is in another one, or named twice."""
    for one, other in combinations(folders, 2):
        if one == other or _is_same(one, other):
            raise ConfigError(f"{other}: is named twice, perhaps by a link; name it once")
        for inner, outer in ((one, other), (other, one)):
            if inner.is_relative_to(outer):
                raise ConfigError(
                    f"{inner}: is in {outer}, and its photos would be indexed twice; leave one of "
                    "them out"
                )


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them does not exist
        return False


def _name(folder: Path, first: Path, taken: Collection[str]) -> str:
    """A name for a new folder: its last part, with a number if that is taken by another folder, or
    by something in the first one."""
    used = {name.casefold() for name in taken}
    base = name = folder.name or "folder"
    number = 1
    while name.casefold() in used or os.path.lexists(first / name):
        number += 1
        name = f"{base} {number}"
    return name


def _listed(folders: Sequence[Path]) -> str:
    return " and ".join(map(str, folders))
