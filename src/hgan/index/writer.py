"""The single writer of a photo index; indexing, watching and uploads all use it.

It has one lock, and one view, which caches the stored entries. The lock is held while the view and
the store are changed, but never while photos are read or encoded. An update records the revision of
the view before it lists the photos, and skips photos that were changed later, so that it neither
overwrites nor removes a photo that was uploaded meanwhile.

User tags are not in the files. When a photo is stored again, its user tags are copied from the
store, including those that another process wrote to an index on a server.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import RLock

import numpy as np

from hgan.encoded import Encoded
from hgan.errors import IndexingError
from hgan.index.changes import Changes as Changes
from hgan.index.encoding import PhotoEncoder
from hgan.index.open import optimize
from hgan.index.points import entry_of, is_same, points_of
from hgan.index.report import IndexReport
from hgan.index.shard import WHOLE, Shard
from hgan.index.store.contract import (
    FLUSH_EVERY,
    DamagedError,
    Entry,
    Point,
    ReplacedError,
    Store,
    id_of,
)
from hgan.index.tags import Tags, kept_tags
from hgan.index.view import View
from hgan.progress import progress
from hgan.runtime.bundle import Bundle
from hgan.runtime.video import frame_paths
from hgan.sources.types import Photo, PhotoContent, Source
from hgan.sources.walk import count_ignored


class IndexWriter:
    """Writes to an open photo index; all methods are thread-safe."""

    def __init__(
        self,
        source: Source,
        store: Store,
        bundle: Bundle,
        shard: Shard = WHOLE,
        stored: Sequence[Entry] | None = None,
    ) -> None:
        """Create the writer; a process must have only one writer for each store.

        Args:
            source: the photos.
            store: the open store of the index.
            bundle: the bundle of the index, with the index's number of regions.
            shard: the photos to update; all others are left unchanged.
            stored: the stored entries of the photos that will be written, if they are known; by
                default those of the shard, which are read when first needed.
        """
        self._source = source if shard == WHOLE else source.part(shard.holds)
        self._store = store
        self._bundle = bundle
        self._shard = shard
        self._lock = RLock()
        self._view = View(store, shard, stored)
        self._ended = False
        self._replaced: list[tuple[Entry, Point | None]] | None = None  # in `exclusive` blocks

    def compare(self) -> Changes:
        """List the photos, and compare them with the index.

        Raises:
            HganError: the photos cannot be listed, or there are none.
        """
        with self._lock:
            known = self._view.known()
            revision = self._view.revision
        listing = self._shard.select(self._source.find())
        changed = {
            photo.path: photo
            for photo in listing.photos
            if photo.path not in known or not is_same(photo, known[photo.path].entry)
        }
        return Changes(listing, changed, revision)

    def update(self, changes: Changes, exclude: Collection[str] = ()) -> IndexReport:
        """Encode and store new and changed photos, and remove missing ones.

        A photo that cannot be read is removed as well, unless it has user tags.

        Args:
            changes: the result of `compare`.
            exclude: paths of changed photos that are not updated.

        Raises:
            SourceError: the photos can no longer be reached.
            IndexingError: the index cannot be written.
        """
        report = changes.report()
        todo = [photo for path, photo in changes.changed.items() if path not in exclude]
        moved = self.moved_tags(changes)
        with progress("index", total=len(todo), unit="photos") as bar:
            unsaved = 0
            for points, number in self.encode(todo, report):
                self.put(points, changes.revision, moved, report)
                unsaved += len(points)
                if unsaved >= FLUSH_EVERY:
                    self.flush()
                    unsaved = 0
                bar.advance(number)
        self.remove_missing(changes, exclude, report)
        self.note_metadata(changes, report)
        return report

    def moved_tags(self, changes: Changes) -> dict[str, Tags]:
        """User tags of photos whose files are missing, by digest: a new file with the same bytes
        is one of them that was renamed."""
        return {
            entry.digest: entry.user_tags
            for entry in self._missing(changes, ())
            if entry.user_tags and entry.file not in changes.listing.skipped
        }

    def encode(
        self, photos: Iterable[Photo], report: IndexReport
    ) -> Iterator[tuple[list[Point], int]]:
        """Read and encode photos, see `PhotoEncoder.encode`; `put` stores them."""
        return PhotoEncoder(self._source, self._bundle, self._stored_copy).encode(photos, report)

    def count_stored(self, changes: Changes, report: IndexReport) -> None:
        """Count the changed photos that other processes have stored since `compare`.

        Raises:
            IndexingError: a photo that is not in the report is not in the index.
        """
        todo = {path: p for path, p in changes.changed.items() if path not in report.unreadable}
        with self._lock:
            view = self._view.stored()
            for entry in self._store.entries([id_of(path) for path in todo]):
                before = view.get(entry.path)
                _count(entry, before.entry if before else None, report)
                todo.pop(entry.path, None)
                self._view.note(entry)
        if todo:
            raise IndexingError(
                f"{next(iter(todo))}: not in the index, and neither are {len(todo) - 1} other "
                "photos that were written to it; another process has removed them; index again"
            )

    def note_metadata(self, changes: Changes, report: IndexReport) -> None:
        """Add to a report, after an update, what is missing in the metadata of all photos: sidecars
        that cannot be read, and cities for which there is no gazetteer."""
        with self._lock:
            entries = [known.entry for known in self._view.stored().values()]
        report.videos = len({entry.file for entry in entries if entry.moment is not None})
        report.unplaced = sum(entry.unplaced for entry in entries)
        for entry in entries:
            report.skipped |= dict(entry.sidecar_problems)
        report.sidecars = len(changes.listing.sidecars() - report.skipped.keys())

    def count_ignored(self, changes: Changes, report: IndexReport) -> None:
        """Count the files in ignored folders, which takes a while if there are many."""
        report.left_out.ignored += count_ignored(self._source, changes.listing.ignored)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Block all other writes, and new comparisons, while the block runs.

        If the block raises an error, the photos that it added are rolled back.
        """
        with self._lock:
            self._check_current()
            outer, self._replaced = self._replaced, []
            try:
                yield
                if outer is not None:
                    outer += self._replaced
            except BaseException:
                self._roll_back(self._replaced)
                raise
            finally:
                self._replaced = outer

    def add(
        self,
        content: PhotoContent,
        encoded: Encoded[np.ndarray],
        user_tags: Tags,
        fingerprint: str = "",
    ) -> Entry:
        """Store an encoded photo; it replaces the photo at this path, including its user tags.

        Call it in an `exclusive` block that also writes the file.

        Args:
            content: the photo, with the size and time of its file.
            encoded: the encoded photo, N = 1.
            user_tags: tags in addition to those in the file, in lower case.
            fingerprint: the perceptual fingerprint of the photo, hexadecimal.

        Raises:
            IndexingError: the index cannot be written.
        """
        entry = replace(entry_of(content, fingerprint), user_tags=user_tags)
        points = points_of([entry], encoded, self._bundle.config.weights)
        with self.exclusive():
            before = self._intact(entry.id)
            if self._replaced is not None:
                self._replaced.append((entry, before[0] if before else None))
            self._store.upsert(points)
            self._store.flush()
            self._view.remember([entry])
        return entry

    def remove(self, key: str) -> bool:
        """Remove the photo with this id; returns False if it is not in the index.

        The frames of a video are removed together, whichever of them has the id. The file is kept.
        This writer does not store it again until it changes; another writer, such as that of the
        next `index_folder`, does.
        """
        with self._lock:
            self._check_current()
            for entry in self._store.entries([key]):
                paths = [entry.path] if entry.moment is None else frame_paths(entry.file)
                ids = [id_of(path) for path in paths]
                found = {one.path: one for one in self._store.entries(ids)}
                self._store.delete([one.id for one in found.values()])
                self._store.flush()
                # Also a frame that a running update has not stored yet.
                self._view.remove([found.get(path, replace(entry, path=path)) for path in paths])
                return True
        return False

    def end(self) -> None:
        """Refuse all changes from now on, because a new generation of the index is in use."""
        with self._lock:
            self._ended = True

    def hand_over(self, new: "IndexWriter") -> None:
        """End this writer for that of a new generation: photos that `remove` has removed here stay
        removed there."""
        with self._lock:
            self._ended = True
            removed = self._view.removed()
        for entry in removed:
            for found in new._store.entries([entry.id]):
                # The size too: a frame may be the same in a video that has changed.
                if (found.digest, found.size) == (entry.digest, entry.size):
                    new.remove(entry.id)

    def _check_current(self) -> None:
        if self._ended:
            raise ReplacedError(self._source.root)

    def flush(self) -> None:
        """Write everything to disk."""
        with self._lock:
            self._store.flush()

    def optimize(self) -> None:
        """Optimize the index for fast searches."""
        with self._lock:
            optimize(self._store)

    def _stored_copy(self, digest: str) -> Point | None:
        """A stored photo with these bytes, if it is intact; called in threads."""
        key = self._view.copy_of(digest)
        found = self._intact(key) if key is not None else []
        return next((point for point in found if point.entry.digest == digest), None)

    def _intact(self, key: str) -> list[Point]:
        """The stored point with this id; empty if there is none, or if it is damaged."""
        try:
            return self._store.fetch([key], local=True)
        except DamagedError:
            return []

    def put(
        self,
        points: Sequence[Point],
        since: int,
        moved: Mapping[str, Tags],
        report: IndexReport,
    ) -> None:
        """Store a batch of an update, except photos that were changed after the update started.

        Args:
            points: points of the batch, without user tags.
            since: the revision at which the update started.
            moved: user tags of photos whose files are missing, by digest.
            report: its counts are increased.
        """
        with self._lock:
            self._check_current()
            ids = [point.entry.id for point in points]
            current = {entry.id: entry for entry in self._store.entries(ids)}
            kept: list[Point] = []
            for point in points:
                before = current.get(point.entry.id)
                if self._is_superseded(point.entry, before, since):
                    report.unchanged += 1
                    continue
                tags = kept_tags(point.entry, before, moved)
                kept.append(replace(point, entry=replace(point.entry, user_tags=tags)))
                _count(point.entry, before, report)
            if kept:
                self._store.upsert(kept)
                self._view.remember([point.entry for point in kept])

    def _is_superseded(self, entry: Entry, before: Entry | None, since: int) -> bool:
        """Whether another caller stored or removed a photo after an update started.

        Args:
            entry: the entry that the update has read.
            before: the entry that is stored now.
            since: the revision at which the update started.
        """
        known = self._view.get(entry.path)
        if known is not None and known.revision > since:
            return True
        # On a server, another process may have stored a newer file than the one that was read.
        if before is None or before.mtime <= entry.mtime or (known and known.entry == before):
            return False
        self._view.remember([before])
        return True

    def _missing(self, changes: Changes, skipped: Collection[str]) -> list[Entry]:
        """Entries whose photos no longer exist, or were skipped."""
        paths = {photo.path for photo in changes.listing.photos} - set(skipped)
        with self._lock:
            return [
                entry
                for path, (entry, revision) in self._view.stored().items()
                if path not in paths
                and revision <= changes.revision
                and not changes.listing.is_unknown(path)
            ]

    def remove_missing(
        self, changes: Changes, exclude: Collection[str], report: IndexReport
    ) -> None:
        """Remove photos that no longer exist, or could not be read."""
        unreadable = report.unreadable
        with self._lock:
            self._check_current()
            stored = self._view.stored()
            # A new photo that is read later may be a missing one that was renamed.
            later = {
                photo.size
                for path, photo in changes.changed.items()
                if path in exclude and path not in stored
            }
            gone = [
                entry
                for entry in self._missing(changes, unreadable)
                if not (entry.user_tags and (entry.path in unreadable or entry.size in later))
            ]
            # On a server, another process may have stored one of them again.
            current = {entry.id: entry for entry in self._store.entries([e.id for e in gone])}
            gone = [entry for entry in gone if current.get(entry.id, entry) == entry]
            if gone:
                self._store.delete([entry.id for entry in gone])
                self._view.forget(gone)
            report.removed = len(gone)

    def _roll_back(self, replaced: list[tuple[Entry, Point | None]]) -> None:
        """Restore the points that the photos of an `exclusive` block have replaced."""
        with suppress(IndexingError):  # if the store has failed, the next update repairs it
            for entry, before in reversed(replaced):
                if before is None:
                    self._store.delete([entry.id])
                    self._view.forget([entry])
                else:
                    self._store.upsert([before])
                    self._view.remember([before.entry])
            if replaced:
                self._store.flush()


def _count(entry: Entry, before: Entry | None, report: IndexReport) -> None:
    if before is None:
        report.added += 1
    elif (before.digest, before.sidecar_state) == (entry.digest, entry.sidecar_state) and (
        not before.damaged
    ):
        report.unchanged += 1  # touched, but the bytes are the same
    else:
        report.updated += 1
