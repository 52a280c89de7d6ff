"""The index that is served, with the photos behind it; photos are named by their ids alone."""

import io
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image
from starlette.exceptions import HTTPException

from hgan.errors import ConfigError, DataError, IndexingError
from hgan.index.manifest import IndexManifest
from hgan.index.store import Entry, Store
from hgan.index.target import Target, is_address, open_store, read_manifest
from hgan.runtime.images import FORMATS
from hgan.search.indexer import Updater
from hgan.search.searcher import Index, bundle_of
from hgan.search.source import FolderSource, open_source, place_of
from hgan.search.watch import Watcher
from hgan.serve.encoder import BatchingBundle
from hgan.serve.metrics import Metrics
from hgan.serve.settings import Settings


class Library:
    """An open index; any thread may use it."""

    def __init__(
        self, index: Index, store: Store, manifest: IndexManifest, places: list[str]
    ) -> None:
        """Use `open_library`."""
        self.index = index
        self.manifest = manifest
        self._store = store
        self._places = places
        self._source = open_source(manifest.root)

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
            data = content if isinstance(content, Path) else io.BytesIO(content)
            with Image.open(data, formats=FORMATS) as photo:
                return Image.MIME[photo.format or ""]
        except Exception as error:  # decoders raise what they like at hostile bytes
            raise HTTPException(404, f"{entry.path}: the file is no photo any more") from error

    def remove(self, key: str) -> None:
        """Take a photo out of the index; its file stays, and the next indexing finds it again.

        Raises:
            HTTPException: 404, there is none of this id.
        """
        self.entry(key)
        self._store.delete([key])

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
    target = target if is_address(target) else Path(target)
    manifest = read_manifest(target)
    if manifest.holds != "photos":
        raise IndexingError(
            f"{target}: holds texts, and photos are what is served; `hgan search --index {target}` "
            "finds them"
        )
    bundle = bundle_of(manifest, target)
    bundle.encode_texts(["a photo"])
    size = bundle.config.size
    bundle.encode_images([np.zeros((size, size, 3), np.uint8)])
    batching = BatchingBundle(bundle, settings.batch_window, metrics.batch.observe)
    with ExitStack() as stack:
        store = stack.enter_context(open_store(target, manifest))
        index = Index(store, batching, place_of(manifest.root), closing=stack.pop_all())
    places = [manifest.root, str(bundle.folder), str(target)]
    # The longest first: one may lie in another.
    return Library(index, store, manifest, sorted(places, key=len, reverse=True))
