"""All copies in a library: the same bytes, or the same photo resized or saved again.

Candidates are photos whose dense vectors are close; these are then compared by fingerprints
(`hgan.runtime.fingerprint`), so that the photos of a burst, which only look alike, are not copies.
The index has the fingerprints; only photos that have changed since they were indexed, or that an
older version of hgan has indexed, are opened.

A video is never a copy because its frames look like those of another one, or like each other: two
videos are copies if they have the same size, and the same bytes in each frame.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from hgan.chunks import chunks
from hgan.errors import DataError, IndexingError
from hgan.index.store.contract import Entry, Store
from hgan.index.store.open import is_address, open_store, read_manifest
from hgan.progress import progress
from hgan.runtime.fingerprint import ALIKE, SIDE, distance, fingerprint, from_hex
from hgan.runtime.images import open_photo
from hgan.runtime.video import FRAMES
from hgan.search.duplicates import CLOSE
from hgan.sources.open import content_of
from hgan.sources.roots import Roots

NEIGHBOURS = 32
"""Maximum number of candidates of a photo."""
HINT = 4 * SIDE
"""Side for which photos are decoded."""
_PAGE = 256


@dataclass(frozen=True)
class Copy:
    """A photo of a group of copies."""

    path: PurePath
    """The file, or the address in an object store."""
    size: int
    """Size of the file in bytes."""
    mtime: int
    """Time of the last change, in nanoseconds."""
    inside: str
    """Path in the index."""


@dataclass(frozen=True)
class Copies:
    """The copies of a library."""

    roots: Roots
    """The indexed folders."""
    groups: list[list[Copy]]
    """Groups of two or more; the best of each first: the largest file, and of these the oldest."""
    unreadable: dict[str, str]
    """Photos that could not be compared, by path, with the reason."""

    @property
    def spare(self) -> int:
        """Bytes of all files but the best of each group."""
        return sum(copy.size for group in self.groups for copy in group[1:])


def find_copies(to: Path | str) -> Copies:
    """Find the copies in an index of photos.

    Args:
        to: the index, a folder or the address of a collection on a server.

    Raises:
        IndexingError: there is no index, it contains texts, or another process has it open.
    """
    target = to if is_address(to) else Path(to)
    manifest = read_manifest(target)
    if manifest.holds != "photos":
        raise IndexingError(f"{target}: contains texts, and copies are found among photos only")
    roots = manifest.roots
    with open_store(target, manifest) as store:
        found = list(store.entries())
        entries = {entry.id: entry for entry in found if entry.moment is None}
        finder = _Finder(entries, roots)
        with progress("compare", total=len(entries), unit="photos") as bar:
            for key, near in _candidates(store, list(entries)):
                finder.join(key, near)
                bar.advance()
        groups = finder.groups() + _videos([one for one in found if one.moment is not None], roots)
        return Copies(roots, sorted(groups, key=lambda group: group[0].inside), finder.unreadable)


def _videos(frames: Sequence[Entry], roots: Roots) -> list[list[Copy]]:
    """The groups of two or more videos that are the same."""
    videos = defaultdict(list)
    for frame in frames:
        videos[frame.file].append(frame)
    same = defaultdict(list)
    for file, (first, *_) in videos.items():
        digests = tuple(frame.digest for frame in sorted(videos[file], key=lambda one: one.path))
        if len(digests) == FRAMES:
            copy = Copy(roots.path(file), first.size, first.mtime, file)
            same[first.size, digests].append(copy)
    return [sorted(group, key=_order) for group in same.values() if len(group) > 1]


def _candidates(store: Store, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The ids of the photos whose vectors are close to each photo's."""
    for page in chunks(ids, _PAGE):
        for point in store.fetch(page):
            length = float(point.dense @ point.dense)
            matches = store.search(point.dense, NEIGHBOURS) if length else []
            near = [match.id for match in matches if match.score >= CLOSE * length]
            yield point.entry.id, [key for key in near if key != point.entry.id]


class _Finder:
    """Joins photos into groups."""

    def __init__(self, entries: dict[str, Entry], roots: Roots) -> None:
        self._entries = entries
        self._roots = roots
        self._group = {key: key for key in entries}
        self._fingerprints: dict[str, np.ndarray | None] = {}
        self.unreadable: dict[str, str] = {}
        first: dict[str, str] = {}
        for key, entry in entries.items():
            self._merge(first.setdefault(entry.digest, key), key)

    def join(self, key: str, near: Sequence[str]) -> None:
        """Join a photo with its copies among others."""
        for other in near:
            if other in self._entries and self._root_of(key) != self._root_of(other):
                one, two = self._fingerprint(key), self._fingerprint(other)
                if one is not None and two is not None and distance(one, two) <= ALIKE:
                    self._merge(key, other)

    def groups(self) -> list[list[Copy]]:
        """The groups of two or more."""
        found = defaultdict(list)
        for key, entry in self._entries.items():
            path = self._roots.path(entry.path)
            found[self._root_of(key)].append(Copy(path, entry.size, entry.mtime, entry.path))
        return [sorted(group, key=_order) for group in found.values() if len(group) > 1]

    def _fingerprint(self, key: str) -> np.ndarray | None:
        if key not in self._fingerprints:
            entry = self._entries[key]
            stored = from_hex(entry.fingerprint)
            if stored is not None and _is_unchanged(self._roots.path(entry.path), entry):
                self._fingerprints[key] = stored
                return stored
            try:
                photo = open_photo(content_of(self._roots.path(entry.path)), HINT, entry.path)
                self._fingerprints[key] = fingerprint(photo)
            except DataError as error:
                self._fingerprints[key] = None
                self.unreadable[entry.path] = str(error)
        return self._fingerprints[key]

    def _root_of(self, key: str) -> str:
        while self._group[key] != key:
            self._group[key] = key = self._group[self._group[key]]
        return key

    def _merge(self, one: str, other: str) -> None:
        self._group[self._root_of(one)] = self._root_of(other)


def _is_unchanged(path: PurePath, entry: Entry) -> bool:
    """Whether the file of a photo is as it was when it was indexed; assumed in an object store."""
    if not isinstance(path, Path):
        return True
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (entry.size, entry.mtime)


def _order(copy: Copy) -> tuple[int, int, int, str]:
    return -copy.size, copy.mtime, len(copy.inside), copy.inside
