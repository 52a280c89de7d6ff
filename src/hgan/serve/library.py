"""The index that is served, with its photos; requests name photos by their ids only."""

from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from starlette.exceptions import HTTPException

from hgan.errors import ConfigError, DataError, IndexingError
from hgan.index.store.contract import Entry, Store, StoreFacts
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.open import Target, is_address, open_store, read_manifest
from hgan.index.watcher import Watcher
from hgan.index.writer import IndexWriter
from hgan.runtime.bundle import Bundle
from hgan.runtime.images import media_type
from hgan.search.searcher import Index, bundle_of
from hgan.serve.batching import BatchingBundle
from hgan.serve.metrics import Metrics
from hgan.serve.settings import Settings
from hgan.serve.uploads import Uploads
from hgan.sources.folder import FolderSource
from hgan.sources.open import open_source, place_of
from hgan.sources.types import Photo, Source

PATIENCE = {"timeout": 10, "attempts": 2}
"""Settings of a Qdrant server, unless its address has them; see `hgan.index.store.server`."""


class Library:
    """An open index; any thread may use it."""

    def __init__(
        self,
        index: Index,
        store: Store,
        manifest: IndexManifest,
        source: Source,
        folder: Path | None,
        places: list[str],
    ) -> None:
        """Use `open_library`.

        Args:
            index: for searching.
            store: of the index.
            manifest: of the index.
            source: the photos.
            folder: of the index; None on a server.
            places: paths that are not shown to clients, the longest first.
        """
        self.index = index
        self.manifest = manifest
        self.writer = IndexWriter(source, store, index.bundle)
        """All changes of the index go through it."""
        self._store = store
        self._source = source
        self._folder = folder
        self._places = places
        self._adding: Uploads | None = None
        if isinstance(source, FolderSource):
            self._adding = Uploads(source.root, folder, self.writer, index.bundle)

    @property
    def adding(self) -> Uploads:
        """Adds photos.

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
        """The name of the folder of photos, without its path."""
        return Path(self.manifest.root).name

    def entry(self, key: str) -> Entry:
        """The stored metadata of a photo.

        Raises:
            HTTPException: 404, there is no photo of this id.
        """
        entry = next(self._store.entries([key]), None)
        if entry is None:
            raise HTTPException(404, f"no photo has the id {key}")
        return entry

    def content(self, entry: Entry) -> Path | bytes:
        """A photo as `open_photo` takes it: its file, or its bytes if it is not in a folder.

        Raises:
            HTTPException: 404, it does not exist any more, is not a regular file, or a link leads
                out of the folder that was indexed.
            SourceError: photos cannot be read there now.
        """
        if isinstance(self._source, FolderSource):
            return self._file(entry)
        try:
            photo = Photo(entry.path, entry.size, entry.mtime, entry.etag)
            return self._source.read(photo).data
        except DataError as error:
            raise HTTPException(404, f"{entry.path}: the photo is not there any more") from error

    def version(self, entry: Entry) -> str:
        """A text that changes whenever the photo changes. Of a photo that is not in a folder, it
        changes when the photo is indexed again, since asking there takes as long as reading.

        Raises:
            HTTPException: as `content`.
            OSError: the file was removed just now.
        """
        if not isinstance(self._source, FolderSource):
            return entry.digest[:32]
        status = self._file(entry).stat()
        return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"

    def _file(self, entry: Entry) -> Path:
        """The file of a photo, with all links followed."""
        root = Path(self.manifest.root)
        gone = HTTPException(404, f"{entry.path}: the photo is not in the folder any more")
        try:
            path = (root / entry.path).resolve(strict=True)
            if path.is_relative_to(root.resolve()) and path.is_file():  # a FIFO would be waited for
                return path
        except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
            raise gone from error
        raise gone

    def media_type(self, entry: Entry, content: Path | bytes) -> str:
        """The media type of a photo, by its content and not by its name.

        Raises:
            HTTPException: 404, it is not a photo any more.
        """
        try:
            return media_type(content)
        except DataError as error:
            raise HTTPException(404, f"{entry.path}: the file is not a photo any more") from error

    def facts(self) -> StoreFacts:
        """Facts about the engine of the index."""
        return self._store.facts()

    def remove(self, key: str) -> None:
        """Remove a photo from the index; its file stays, and the next `hgan index` adds it again.

        Raises:
            HTTPException: 404, there is no photo of this id.
        """
        if not self.writer.remove(key):
            raise HTTPException(404, f"no photo has the id {key}")

    def watcher(self) -> Watcher:
        """A watcher that keeps the index up to date with its folder while it is served.

        Raises:
            ConfigError: watchfiles is not installed, or the photos are not in a folder.
        """
        if not isinstance(self._source, FolderSource):
            raise ConfigError(f"{self.manifest.root}: only folders can be watched")
        return Watcher(self._source.root, self.writer, self._folder)

    def public(self, message: str) -> str:
        """A message without paths of this machine."""
        for place in self._places:
            message = message.replace(place, Path(place).name)
        return message

    def close(self) -> None:
        """Close the index."""
        self.index.close()


def open_library(target: Target, settings: Settings, metrics: Metrics) -> Library:
    """Open an index, and load its model, so that the first search is as fast as the second.

    Raises:
        IndexingError: there is no index, it holds texts, or another process has it open.
        BundleError: the bundle is missing or damaged.
    """
    target = _impatient(str(target)) if is_address(target) else Path(target)
    manifest = read_manifest(target)
    if manifest.holds != "photos":
        raise IndexingError(
            f"{target}: holds texts, and photos are what is served; `hgan search --index {target}` "
            "finds them"
        )
    loaded = Bundle.load(Path(manifest.bundle_path) if manifest.bundle_path else None, spin=False)
    bundle = bundle_of(manifest, target, loaded)
    bundle.encode_texts(["a photo"])
    size = bundle.config.size
    bundle.encode_images([np.zeros((size, size, 3), np.uint8)])
    batching = BatchingBundle(bundle, settings.batch_window, metrics.batch.observe)
    with ExitStack() as stack:
        store = stack.enter_context(open_store(target, manifest))
        index = Index(store, batching, place_of(manifest.root), closing=stack.pop_all())
    folder = target.resolve() if isinstance(target, Path) else None
    source = open_source(manifest.root)
    places = [manifest.root, str(bundle.folder), str(target)]
    # The longest first: one may be part of another.
    return Library(index, store, manifest, source, folder, sorted(places, key=len, reverse=True))


def _impatient(address: str) -> str:
    """The address of a collection with shorter waiting times than those of indexing, so that a
    request fails soon when the server is away, and does not block a thread."""
    given = urlsplit(address).query
    more = [f"{name}={value}" for name, value in PATIENCE.items() if f"{name}=" not in given]
    return f"{address}{'&' if given else '?'}{'&'.join(more)}" if more else address
