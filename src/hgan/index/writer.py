"""The one writer of an index of photos: indexing, watching and uploads all go through it.

It has one lock, and one view of what is stored. The lock is held while view and store change, never
while photos are read or encoded. Every change gets a number, its revision. An update notes the
revision before it lists the photos, and leaves alone what was changed later, so that it neither
overwrites nor removes a photo that was uploaded meanwhile.

Tags that users gave are not in the files. Whenever a photo is stored again, they are taken over
from the store, also from what another process wrote to an index on a server.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from threading import RLock
from typing import NamedTuple

import numpy as np

from hgan.encoded import Encoded
from hgan.errors import IndexingError
from hgan.index.open import optimize
from hgan.index.points import entry_of, is_same, points_of
from hgan.index.report import IndexReport
from hgan.index.shard import WHOLE, Shard
from hgan.index.store.contract import FLUSH_EVERY, Entry, Point, Store
from hgan.progress import progress
from hgan.runtime.bundle import IMAGE_BATCH, Bundle
from hgan.runtime.stream import Batch, stream
from hgan.sources.types import Listing, Photo, PhotoContent, Source

Tags = tuple[str, ...]


class _Known(NamedTuple):
    """An entry, and the revision in which it was stored or removed."""

    entry: Entry
    revision: int


@dataclass
class _Reading:
    """A photo on its way into the index."""

    photo: Photo
    entry: Entry | None = None
    """Set when the photo has been read."""
    copy: Point | None = None
    """A stored photo of the same bytes, whose vectors are used."""


@dataclass(frozen=True)
class Changes:
    """The photos of a source, compared with the index."""

    listing: Listing
    changed: dict[str, Photo]
    """New and changed photos by path."""
    revision: int
    """Of the index, before the photos were listed."""


class IndexWriter:
    """Writes to an open index of photos; any thread may call any method."""

    def __init__(self, source: Source, store: Store, bundle: Bundle, shard: Shard = WHOLE) -> None:
        """A writer; there must be no other one for this store in this process.

        Args:
            source: the photos.
            store: of the index, open.
            bundle: that made the index, as the index uses it.
            shard: the photos that are updated; all others are left alone.
        """
        self._source = source
        self._store = store
        self._bundle = bundle
        self._shard = shard
        self._lock = RLock()
        self._revision = 0
        self._stored: dict[str, _Known] | None = None  # by path; read when first needed
        self._copies: dict[str, str] = {}  # digest to id
        self._removed: dict[str, _Known] = {}  # by `remove`, whose files are still there
        self._replaced: list[tuple[Entry, Point | None]] | None = None  # in `exclusive` blocks

    def compare(self) -> Changes:
        """List the photos, and compare them with the index.

        Raises:
            HganError: the photos cannot be listed, or there is none.
        """
        with self._lock:
            known = {**self._removed, **self._view()}
            revision = self._revision
        listing = self._shard.select(self._source.find())
        changed = {
            photo.path: photo
            for photo in listing.photos
            if photo.path not in known or not is_same(photo, known[photo.path].entry)
        }
        return Changes(listing, changed, revision)

    def update(self, changes: Changes, exclude: Collection[str] = ()) -> IndexReport:
        """Encode and store what is new or changed, remove what is missing.

        A photo that cannot be read is removed as well, unless a user has given it tags.

        Args:
            changes: from `compare`.
            exclude: paths of changed photos that are left as they are.

        Raises:
            SourceError: the photos cannot be reached any more.
            IndexingError: the index cannot be written.
        """
        report = IndexReport(skipped=dict(changes.listing.skipped))
        report.unchanged = len(changes.listing.photos) - len(changes.changed)
        todo = [_Reading(p) for path, p in changes.changed.items() if path not in exclude]
        moved = {
            entry.digest: entry.user_tags
            for entry in self._missing(changes, ())
            if entry.user_tags and entry.path not in report.skipped
        }
        with progress("index", total=len(todo), unit="photos") as bar:
            unsaved = 0
            for batch in stream(todo, self._load, IMAGE_BATCH, self._source.threads):
                report.skipped |= {read.photo.path: str(error) for read, error in batch.failed}
                self._put(self._encode(batch), changes.revision, moved, report)
                unsaved += len(batch.items)
                if unsaved >= FLUSH_EVERY:
                    self.flush()
                    unsaved = 0
                bar.advance(len(batch.items) + len(batch.failed))
        self._remove_missing(changes, exclude, report)
        return report

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Let nothing else be written, and no comparison begin, while the block runs.

        If the block raises, the photos that it added are taken back.
        """
        with self._lock:
            outer, self._replaced = self._replaced, []
            try:
                yield
                if outer is not None:
                    outer += self._replaced
            except BaseException:
                self._take_back(self._replaced)
                raise
            finally:
                self._replaced = outer

    def add(self, content: PhotoContent, encoded: Encoded[np.ndarray], user_tags: Tags) -> Entry:
        """Store an encoded photo, in place of the photo of this path and of its tags.

        Call it in an `exclusive` block that also writes the file.

        Args:
            content: the photo, with the size and time that its file has.
            encoded: the photo.
            user_tags: tags beside those in the file, in lower case.

        Raises:
            IndexingError: the index cannot be written.
        """
        entry = replace(entry_of(content), user_tags=user_tags)
        points = points_of([entry], encoded, self._bundle.config.weights)
        with self.exclusive():
            before = self._store.fetch([entry.id], local=True)
            if self._replaced is not None:
                self._replaced.append((entry, before[0] if before else None))
            self._store.upsert(points)
            self._store.flush()
            self._remember([entry])
        return entry

    def remove(self, key: str) -> bool:
        """Remove the photo of an id; False if there is none.

        Its file stays. While it does not change, this writer does not store it again; another one,
        such as that of the next `index_folder`, does.
        """
        with self._lock:
            for entry in self._store.entries([key]):
                self._store.delete([key])
                self._store.flush()
                self._forget([entry])
                self._removed[entry.path] = _Known(entry, self._revision)
                return True
        return False

    def flush(self) -> None:
        """Write everything to disk."""
        self._store.flush()

    def optimize(self) -> None:
        """Bring the index into the form that is fastest to search."""
        optimize(self._store)

    def _load(self, reading: _Reading) -> np.ndarray:
        """Pixels of a photo; empty if the index has a photo of the same bytes. Runs in threads."""
        content = self._source.read(reading.photo)
        reading.entry = entry_of(content)
        reading.copy = self._stored_copy(content.digest)
        if reading.copy is not None:
            return np.zeros(0, np.uint8)
        return content.pixels(self._bundle.config.size)

    def _stored_copy(self, digest: str) -> Point | None:
        key = self._copies.get(digest)
        found = self._store.fetch([key], local=True) if key is not None else []
        return next((point for point in found if point.entry.digest == digest), None)

    def _encode(self, batch: Batch[_Reading]) -> list[Point]:
        points: list[Point] = []
        fresh: list[tuple[Entry, np.ndarray]] = []
        for reading, pixels in zip(batch.items, batch.arrays, strict=True):
            assert reading.entry is not None
            if reading.copy is None:
                fresh.append((reading.entry, pixels))
            else:
                points.append(replace(reading.copy, entry=reading.entry))
        if fresh:
            encoded = self._bundle.encode_images([pixels for _, pixels in fresh])
            entries = [entry for entry, _ in fresh]
            points += points_of(entries, encoded, self._bundle.config.weights)
        return points

    def _put(
        self,
        points: Sequence[Point],
        since: int,
        moved: Mapping[str, Tags],
        report: IndexReport,
    ) -> None:
        """Store a batch of an update, except photos that were changed after it began.

        Args:
            points: of the batch, without tags of users.
            since: the revision in which the update began.
            moved: tags that users gave to photos whose files are missing, by digest.
            report: counts are added.
        """
        with self._lock:
            ids = [point.entry.id for point in points]
            there = {entry.id: entry for entry in self._store.entries(ids)}
            kept: list[Point] = []
            for point in points:
                before = there.get(point.entry.id)
                if self._is_superseded(point.entry, before, since):
                    report.unchanged += 1
                    continue
                tags = _kept_tags(point.entry, before, moved)
                kept.append(replace(point, entry=replace(point.entry, user_tags=tags)))
                _count(point.entry, before, report)
            if kept:
                self._store.upsert(kept)
                self._remember([point.entry for point in kept])

    def _is_superseded(self, entry: Entry, before: Entry | None, since: int) -> bool:
        """Whether a photo was stored or removed by others after an update began.

        Args:
            entry: what the update has read.
            before: what is stored now.
            since: the revision in which the update began.
        """
        known = self._view().get(entry.path) or self._removed.get(entry.path)
        if known is not None and known.revision > since:
            return True
        # On a server, another process may have stored a newer file than the one that was read.
        if before is None or before.mtime <= entry.mtime or (known and known.entry == before):
            return False
        self._remember([before])
        return True

    def _missing(self, changes: Changes, skipped: Collection[str]) -> list[Entry]:
        """Entries whose photos do not exist any more, or were skipped."""
        paths = {photo.path for photo in changes.listing.photos} - set(skipped)
        with self._lock:
            return [
                entry
                for path, (entry, revision) in self._view().items()
                if path not in paths
                and revision <= changes.revision
                and not path.startswith(changes.listing.unread)
            ]

    def _remove_missing(
        self, changes: Changes, exclude: Collection[str], report: IndexReport
    ) -> None:
        """Remove photos that do not exist any more, or could not be read."""
        with self._lock:
            view = self._view()
            # A new photo that is read later may be a missing one under another name.
            later = {
                photo.size
                for path, photo in changes.changed.items()
                if path in exclude and path not in view
            }
            gone = [
                entry
                for entry in self._missing(changes, report.skipped)
                if not (entry.user_tags and (entry.path in report.skipped or entry.size in later))
            ]
            # On a server, another process may have stored one of them again.
            there = {entry.id: entry for entry in self._store.entries([e.id for e in gone])}
            gone = [entry for entry in gone if there.get(entry.id, entry) == entry]
            if gone:
                self._store.delete([entry.id for entry in gone])
                self._forget(gone)
            report.removed = len(gone)

    def _view(self) -> dict[str, _Known]:
        """What is stored by path, of this shard. The lock is held."""
        if self._stored is None:
            found = (e for e in self._store.entries() if self._shard.holds(e.path))
            self._stored = {entry.path: _Known(entry, self._revision) for entry in found}
            self._copies = {known.entry.digest: known.entry.id for known in self._stored.values()}
        return self._stored

    def _remember(self, entries: Sequence[Entry]) -> None:
        """Note that entries were stored. The lock is held."""
        self._revision += 1
        for entry in entries:
            self._removed.pop(entry.path, None)
            if self._stored is not None:
                self._stored[entry.path] = _Known(entry, self._revision)
                self._copies[entry.digest] = entry.id

    def _forget(self, entries: Sequence[Entry]) -> None:
        """Note that entries were removed. The lock is held."""
        self._revision += 1
        for entry in entries:
            if self._stored is not None:
                self._stored.pop(entry.path, None)

    def _take_back(self, replaced: list[tuple[Entry, Point | None]]) -> None:
        """Bring back what was stored before the photos of an `exclusive` block."""
        with suppress(IndexingError):  # if the store has failed, the next update puts it right
            for entry, before in reversed(replaced):
                if before is None:
                    self._store.delete([entry.id])
                    self._forget([entry])
                else:
                    self._store.upsert([before])
                    self._remember([before.entry])
            if replaced:
                self._store.flush()


def _kept_tags(entry: Entry, before: Entry | None, moved: Mapping[str, Tags]) -> Tags:
    """The tags that users gave to a photo that is stored again.

    Args:
        entry: what was read from the file.
        before: what is stored of this path.
        moved: tags of photos whose files are missing, by digest.
    """
    if before is None:
        return moved.get(entry.digest, ())
    tags = before.user_tags
    if before.digest == entry.digest:
        # Older programs stored tags of users among those of the file.
        tags += tuple(tag for tag in before.file_tags if tag not in entry.file_tags)
    return tuple(dict.fromkeys(tags))


def _count(entry: Entry, before: Entry | None, report: IndexReport) -> None:
    if before is None:
        report.added += 1
    elif before.digest == entry.digest:
        report.unchanged += 1  # touched, but the bytes are the same
    else:
        report.updated += 1
