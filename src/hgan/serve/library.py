"""The index that is served, with the photos behind it; photos are named by their ids alone."""

from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from starlette.exceptions import HTTPException

from hgan.errors import ConfigError, DataError, IndexingError
from hgan.index.indexer import Updater
from hgan.index.store.contract import Entry, Store, StoreFacts
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.open import Target, is_address, open_store, read_manifest
from hgan.index.watcher import Watcher
from hgan.runtime.bundle import Bundle
from hgan.runtime.images import media_type
from hgan.search.searcher import Index, bundle_of
from hgan.serve.batching import BatchingBundle
from hgan.serve.metrics import Metrics
from hgan.serve.settings import Settings
from hgan.serve.uploads import Adding
from hgan.sources.folder import FolderSource
from hgan.sources.open import open_source, place_of
from hgan.sources.types import Source

PATIENCE = {"timeout": 10, "attempts": 2}
"""With a Qdrant server, unless its address says otherwise; see `hgan.index.store.server`."""


class Library:
    """An open index; any thread may use it."""

    def __init__(
        self,
        index: Index,
        store: Store,
        manifest: IndexManifest,
        source: Source,
        adding: Adding | None,
        places: list[str],
    ) -> None:
        """Use `open_library`."""
        self.index = index
        self.manifest = manifest
        self._adding = adding
        self._store = store
        self._places = places
        self._source = source

    @property
    def adding(self) -> Adding:
        """Takes photos in.

        Raises:
            HTTPException: 403, the photos are in no folder that could take more.
        """
        if self._adding is None:
            raise HTTPException(403, "photos are added where they are stored, then indexed again")
        return self._adding

    @property
    def running(self) -> int:
        """Photos that are being added now."""
        return self._adding.running if self._adding else 0

    @property
    def name(self) -> str:
        """Of the folder of photos, without where it lies."""
        return Path(self.manifest.root).name

    def entry(self, key: str) -> Entry:
        """What is remembered of a photo.

        Raises:
            HTTPException: 404, there is none of this id.
        """
        found = self._store.fetch([key])
        if not found:
            raise HTTPException(404, f"no photo has the id {key}")
        return found[0].entry

    def content(self, entry: Entry) -> Path | bytes:
        """A photo as `open_photo` takes it: its file, or the bytes of what is in no folder.

        Raises:
            HTTPException: 404, it has gone, or a link leads out of the folder that was indexed.
            SourceError: photos cannot be read there now.
        """
        if isinstance(self._source, FolderSource):
            return self._file(entry)
        try:
            return self._source.content(entry.path)
        except DataError as error:
            raise HTTPException(404, f"{entry.path}: the photo is not there any more") from error

    def version(self, entry: Entry) -> str:
        """Another one whenever a photo has changed; what is in no folder, when it is indexed again,
        since asking there takes as long as reading it.

        Raises:
            HTTPException: as `content`.
            OSError: the file has just gone.
        """
        if not isinstance(self._source, FolderSource):
            return entry.digest[:32]
        status = self._file(entry).stat()
        return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"

    def _file(self, entry: Entry) -> Path:
        """Where a photo lies, every link followed."""
        root = Path(self.manifest.root)
        gone = HTTPException(404, f"{entry.path}: the photo is not in the folder any more")
        try:
            path = (root / entry.path).resolve(strict=True)
            if path.is_relative_to(root.resolve()) and path.is_file():
                return path
        except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
            raise gone from error
        raise gone

    def media_type(self, entry: Entry, content: Path | bytes) -> str:
        """Of a photo, by what is in it and not by its name.

        Raises:
            HTTPException: 404, it is no photo any more.
        """
        try:
            return media_type(content)
        except DataError as error:
            raise HTTPException(404, f"{entry.path}: the file is no photo any more") from error

    def facts(self) -> StoreFacts:
        """How the index is kept."""
        return self._store.facts()

    def remove(self, key: str) -> None:
        """Take a photo out of the index; its file stays, and the next indexing finds it again.

        Raises:
            HTTPException: 404, there is none of this id.
        """
        self.entry(key)
        self._store.delete([key])
        self._store.flush()

    def watcher(self) -> Watcher:
        """What keeps the index up to date with its folder while it is served.

        Raises:
            ConfigError: the library for watching is not installed, or the photos are in no folder.
        """
        if not isinstance(self._source, FolderSource):
            raise ConfigError(f"{self.manifest.root}: only folders tell of changes")
        updater = Updater(self._source, self._store, self.index.bundle)
        return Watcher(self._source.root, updater)

    def public(self, message: str) -> str:
        """A message without where things lie on this machine."""
        for place in self._places:
            message = message.replace(place, Path(place).name)
        return message

    def close(self) -> None:
        """Let go of the index."""
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
    adding = None
    if isinstance(source, FolderSource):
        adding = Adding(source.root, folder, store, batching)
    places = [manifest.root, str(bundle.folder), str(target)]
    # The longest first: one may lie in another.
    return Library(index, store, manifest, source, adding, sorted(places, key=len, reverse=True))


def _impatient(address: str) -> str:
    """The address of a collection, asked for less long than indexing asks: a request that hears in
    time that the server is away can be told so, and does not keep a thread from others."""
    given = urlsplit(address).query
    more = [f"{name}={value}" for name, value in PATIENCE.items() if f"{name}=" not in given]
    return f"{address}{'&' if given else '?'}{'&'.join(more)}" if more else address
