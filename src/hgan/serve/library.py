"""The served index and its photos; requests refer to photos only by their ids."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import Response

from hgan.errors import ConfigError, DataError, IndexingError
from hgan.index.conditions.filter import Filter
from hgan.index.folders import source_of
from hgan.index.store.contract import Entry, Store, StoreFacts
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.open import Target, hold, is_address, open_store, read_manifest
from hgan.index.store.timeline import Place
from hgan.index.watcher import Watcher, watchable
from hgan.index.writer import IndexWriter
from hgan.runtime.bundle import Bundle
from hgan.search.browsing import TimelinePage, page_of
from hgan.search.finder import Hit, SearchOptions
from hgan.search.ids import id_of_path
from hgan.search.query import EncodedQuery
from hgan.search.searcher import Index, bundle_of
from hgan.serve.batching import BatchingBundle
from hgan.serve.metrics import Metrics
from hgan.serve.originals import Original, open_original, send_video
from hgan.serve.public_ids import PublicIds, open_public_ids
from hgan.serve.settings import Settings
from hgan.serve.stopping import begin_change, stop_if_unwanted
from hgan.serve.uploads import Uploads
from hgan.sources.folder import FolderSource
from hgan.sources.folders import FoldersSource
from hgan.sources.types import Source

PATIENCE = {"timeout": 10, "attempts": 2}
"""Settings for a Qdrant server, unless its address sets them; see `hgan.index.store.server`."""


class ServedIndex(Index):
    """An index whose searches stop when nobody waits for their results any more."""

    def _search(self, query: EncodedQuery, options: SearchOptions) -> list[Hit]:
        stop_if_unwanted()
        return super()._search(query, options)


class Library:
    """An open index; all methods are thread-safe."""

    def __init__(
        self,
        index: Index,
        store: Store,
        manifest: IndexManifest,
        source: Source,
        target: Target,
        places: list[str],
        ids: PublicIds,
        lock: ExitStack | None,
    ) -> None:
        """Use `open_library`.

        Args:
            index: the index, for searching.
            store: the store of the index.
            manifest: the manifest of the index.
            source: the photos.
            target: where the index is.
            places: paths that are not shown to clients, the longest first.
            ids: the ids that clients see.
            lock: releases the lock of the index when it is closed; None if it is not held.
        """
        self.index = index
        self.manifest = manifest
        self.target = target
        self.ids = ids
        self.lock = lock
        self.replaced = Event()
        """Set when another generation of the index is served instead of this one."""
        self.writer = IndexWriter(source, store, index.bundle)
        """The writer for all changes of the index."""
        self._store = store
        self._source = source
        self._folder = target.resolve() if isinstance(target, Path) else None
        self._places = places
        self._adding: Uploads | None = None
        if isinstance(source, FolderSource | FoldersSource):
            self._adding = Uploads(source, self._folder, self.writer, index.bundle)

    @property
    def adding(self) -> Uploads:
        """The object that adds uploaded photos.

        Raises:
            HTTPException: 403, the photos are not in a folder.
        """
        if self._adding is None:
            raise HTTPException(
                403,
                "photos of this index are not in a folder; add them at their source",
            )
        return self._adding

    @property
    def running(self) -> int:
        """Photos that are being added now."""
        return self._adding.running if self._adding else 0

    @property
    def name(self) -> str:
        """The names of the folders of photos, without their paths."""
        return ", ".join([Path(self.manifest.root).name, *self._source.folders])

    def entry(self, key: UUID) -> Entry:
        """The stored metadata of the photo with this public id.

        Raises:
            HTTPException: 404, there is no photo with this id.
        """
        entry = next(self._store.entries([self.ids.stored(key)]), None)
        if entry is None:
            raise HTTPException(404, f"no photo has the id {key}")
        return entry

    def entry_of_path(self, path: str) -> Entry:
        """The stored metadata of the photo with this path, relative to the indexed folder.

        Raises:
            HTTPException: 404, there is no photo with this path.
        """
        entry = next(self._store.entries([id_of_path(path)]), None)
        if entry is None:
            raise HTTPException(404, "no photo of the index has this path")
        return entry

    @contextmanager
    def original(self, entry: Entry) -> Iterator[Original]:
        """Open a photo, and close it at the end of the block.

        Raises:
            HTTPException: 404, the file no longer exists, is no longer a photo, is not a regular
                file, is too large, or is a link to a place outside the indexed folder; also if this
                is found only in the block.
            SourceError: the source cannot be read now.
        """
        try:
            with open_original(self._source, entry) as found:
                yield found
        except DataError as error:
            raise HTTPException(404, f"{entry.path}: the photo can no longer be read") from error

    def video(self, entry: Entry, headers: Mapping[str, str]) -> Response:
        """A response that sends the video of a frame, or parts of it.

        Raises:
            HTTPException: 404, it is a photo; or the file no longer exists, is no longer a video,
                is not a regular file, or is a link to a place outside the indexed folder.
        """
        if entry.moment is None:
            raise HTTPException(404, f"{entry.path}: a photo, not a frame of a video")
        try:
            return send_video(self._source, entry, headers)
        except DataError as error:
            raise HTTPException(404, f"{entry.file}: the video can no longer be read") from error

    def timeline(self, limit: int, where: Filter, after: Place | None, fold: bool) -> TimelinePage:
        """The next photos in the order of time; see `hgan.search.browsing`."""
        return page_of(self._store, limit, self.index.values.resolve(where), after, fold)

    def entries_of(self, ids: Sequence[str]) -> list[Entry]:
        """The stored metadata of the photos with these ids in the store; unknown ones are left
        out."""
        return list(self._store.entries(ids))

    def entries(self) -> list[Entry]:
        """The stored metadata of all photos."""
        return list(self._store.entries())

    def facts(self) -> StoreFacts:
        """Information about the store of the index."""
        return self._store.facts()

    def remove(self, key: UUID) -> None:
        """Remove the photo with this public id from the index, or the whole video if it is a frame,
        but keep the file; the next `hgan index` adds it again.

        Raises:
            HTTPException: 404, there is no photo with this id.
        """
        with self.writer.exclusive():
            begin_change()
            removed = self.writer.remove(self.ids.stored(key))
        if not removed:
            raise HTTPException(404, f"no photo has the id {key}")

    def watcher(self) -> Watcher:
        """A watcher that keeps the index up to date with its folders while it is served.

        Raises:
            ConfigError: watchfiles is not installed, or the photos are not in a folder.
        """
        roots = watchable(self._source)
        if roots is None:
            raise ConfigError(f"{self.manifest.root}: only folders can be watched")
        return Watcher(roots, lambda: nullcontext(self.writer), self._folder)

    def public(self, message: str) -> str:
        """A message without paths of this machine."""
        for place in self._places:
            message = message.replace(place, Path(place).name)
        return message

    def close(self) -> None:
        """Close the index."""
        self.index.close()
        if self.lock is not None:
            self.lock.close()


def open_library(
    target: Target,
    settings: Settings,
    metrics: Metrics,
    bundle: Bundle | None = None,
    lock: ExitStack | None = None,
) -> Library:
    """Open an index, and load its model, so that the first search is as fast as the others.

    Args:
        target: the index.
        settings: settings of the service.
        metrics: its metrics.
        bundle: the model that made the index; by default from the folder where it was.
        lock: the lock of the index, which the library of an older generation holds; by default it
            is taken here.

    Raises:
        IndexingError: there is no index, it contains texts, it was made with another bundle, or
            another process has it open.
        BundleError: the bundle is missing or damaged.
    """
    target = _with_short_timeouts(str(target)) if is_address(target) else Path(target)
    with ExitStack() as stack:
        own = stack.enter_context(ExitStack())
        held = lock is not None or own.enter_context(hold(target))
        manifest = read_manifest(target)
        if manifest.holds != "photos":
            raise IndexingError(
                f"{target}: contains texts, and only photos can be served; search texts with `hgan "
                f"search --index {target}`"
            )
        bundle = bundle_of(manifest, target, bundle)
        bundle.encode_texts(["a photo"])
        bundle.encode_images([bundle.preprocessing.blank()])
        batching = BatchingBundle(bundle, metrics.batch.observe)
        store = stack.enter_context(open_store(target, manifest, held=held))
        ids = open_public_ids(target)
        lock = (lock or own.pop_all()) if held else None
        index = ServedIndex(store, batching, manifest.roots, closing=stack.pop_all())
    source = source_of(manifest).excluding(manifest.exclude or ())
    folders = map(str, manifest.roots.by_name.values())
    places = [*folders, str(bundle.folder), str(target)]
    # The longest first: one may be part of another.
    places.sort(key=len, reverse=True)
    return Library(index, store, manifest, source, target, places, ids, lock)


def _with_short_timeouts(address: str) -> str:
    """The address of a collection with shorter timeouts than for indexing, so that a request fails
    soon if the server is down, and does not block a thread."""
    given = urlsplit(address).query
    more = [f"{name}={value}" for name, value in PATIENCE.items() if f"{name}=" not in given]
    return f"{address}{'&' if given else '?'}{'&'.join(more)}" if more else address
