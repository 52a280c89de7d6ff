"""What the writer knows about an index: the stored photos, what was removed, and since when.

It is read from the store once, and then follows the changes of the writer. Each of them has a
revision number, so that an update can tell what was changed after it started.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hgan.index.shard import WHOLE, Shard
from hgan.index.store.contract import Entry, Store


class Known(NamedTuple):
    """An entry, and the revision in which it was stored or removed."""

    entry: Entry
    revision: int


class View:
    """The entries of a shard; callers hold the lock of the writer, except for `copy_of`."""

    def __init__(self, store: Store, shard: Shard, stored: Sequence[Entry] | None = None) -> None:
        """Create the view.

        Args:
            store: the open store of the index.
            shard: the photos that the writer updates.
            stored: the stored entries of the photos that will be written, if they are known; by
                default those of the shard, which are read when first needed.
        """
        self.revision = 0
        """The number of the last change."""
        self._store = store
        self._shard = shard
        self._stored: dict[str, Known] | None = None  # by path; read when first needed
        self._copies: dict[str, str] = {}  # digest to id
        self._removed: dict[str, Known] = {}  # by path; their files still exist
        if stored is not None:
            self._take(stored)

    def stored(self) -> dict[str, Known]:
        """The stored entries, by path."""
        if self._stored is None:
            buckets = None if self._shard == WHOLE else self._shard.buckets
            self._take(self._store.entries(buckets=buckets))
        assert self._stored is not None
        return self._stored

    def removed(self) -> list[Entry]:
        """The entries of photos that were removed, although their files still exist."""
        return [known.entry for known in self._removed.values()]

    def known(self) -> dict[str, Known]:
        """The entries that are stored or were removed, by path."""
        return {**self._removed, **self.stored()}

    def get(self, path: str) -> Known | None:
        """The entry that is stored for a path, or was removed."""
        return self.stored().get(path) or self._removed.get(path)

    def copy_of(self, digest: str) -> str | None:
        """The id of a stored photo with these bytes; threads may call it at any time."""
        return self._copies.get(digest)

    def note(self, entry: Entry) -> None:
        """Record an entry that another process has stored; this is no new revision."""
        self.stored()[entry.path] = Known(entry, self.revision)

    def remember(self, entries: Sequence[Entry]) -> None:
        """Record that entries were stored."""
        self.revision += 1
        for entry in entries:
            self._removed.pop(entry.path, None)
            if self._stored is not None:
                self._stored[entry.path] = Known(entry, self.revision)
                self._copies[entry.digest] = entry.id

    def forget(self, entries: Sequence[Entry]) -> None:
        """Record that entries are no longer stored."""
        self.revision += 1
        for entry in entries:
            if self._stored is not None:
                self._stored.pop(entry.path, None)

    def remove(self, entries: Sequence[Entry]) -> None:
        """Record that entries were removed, although the files of their photos still exist."""
        self.forget(entries)
        for entry in entries:
            self._removed[entry.path] = Known(entry, self.revision)

    def _take(self, entries: Iterable[Entry]) -> None:
        self._stored = {entry.path: Known(entry, self.revision) for entry in entries}
        self._copies = {known.entry.digest: known.entry.id for known in self._stored.values()}
