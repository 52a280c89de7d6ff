"""A folder of photos to an index: what is new or changed is encoded, what is gone is dropped.

Photos are stored as they are encoded, so that a run that is cut short is continued by the next.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hgan.errors import DataError
from hgan.index.manifest import IndexManifest, Quantize
from hgan.index.store import Entry, Point, Store
from hgan.index.target import create_store, is_address
from hgan.progress import console, progress
from hgan.runtime.bundle import IMAGE_BATCH, Bundle
from hgan.runtime.stream import Batch, stream
from hgan.search.part import WHOLE, Part
from hgan.search.points import points_of
from hgan.search.source import Source, open_source
from hgan.search.walk import Photo

FLUSH_EVERY = 500
"""Photos between two flushes. A kill loses nothing that was stored; a power cut may lose these."""


@dataclass
class IndexReport:
    """What a run did; every photo of the folder is in one of these."""

    added: int = 0
    updated: int = 0
    removed: int = 0
    """Were in the index and are gone from the folder, or cannot be read any more."""
    unchanged: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    """Files that were left out, with the reason."""


def index_folder(
    folder: Path | str,
    to: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | None = None,
    part: Part = WHOLE,
) -> IndexReport:
    """Bring an index up to date with a folder of photos and all folders below it.

    Hidden folders, and links to folders, are not entered. A photo that cannot be read is skipped
    and listed.

    Args:
        folder: the photos, or the address of those that are in no folder, as `s3://bucket/2023`.
        to: the index, a folder or the address of a collection on a server; made where there is
            none.
        bundle: the model, or its folder; by default the one that ships with the program.
        quantize: `int8` for smaller vectors in a new index, see `IndexManifest`.
        part: the share of the photos that this run takes care of.

    Raises:
        HganError: there is no such folder, or no photo in it.
        SourceError: the photos cannot be reached.
        IndexingError: the index is of other photos or another bundle, is open elsewhere, or cannot
            be written.
    """
    source = open_source(folder)
    target = to if is_address(to) else Path(to)
    if not isinstance(bundle, Bundle):
        bundle = Bundle.load(bundle)
    report = IndexReport()
    photos, unread = source.find(report.skipped)
    photos = part.own(photos, report.skipped)
    with create_store(target, IndexManifest.of(source.root, bundle, quantize)) as store:
        # Those of other parts are not seen, so they are never taken for gone.
        stored = {entry.path: entry for entry in store.entries() if part.holds(entry.path)}
        _Run(source, store, bundle, stored, report).encode(photos)
        kept = {photo.path for photo in photos} - report.skipped.keys()
        gone = [
            entry.id
            for path, entry in stored.items()
            if path not in kept and not path.startswith(unread)
        ]
        report.removed = len(gone)
        if gone:
            store.delete(gone)
        with console.status("arranging the index"):
            store.optimize()
    return report


class _Run:
    """One run over the photos that a folder holds now."""

    def __init__(
        self,
        source: Source,
        store: Store,
        bundle: Bundle,
        stored: dict[str, Entry],
        report: IndexReport,
    ) -> None:
        self._source = source
        self._store = store
        self._bundle = bundle
        self._stored = stored
        self._report = report
        self._copies = {entry.digest: entry.id for entry in stored.values()}

    def encode(self, photos: list[Photo]) -> None:
        """Encode and store what is new or changed."""
        changed = [photo for photo in photos if not self._is_unchanged(photo)]
        self._report.unchanged = len(photos) - len(changed)
        with progress("index", total=len(changed), unit="photos") as bar:
            unsaved = 0
            for batch in stream(changed, self._load, IMAGE_BATCH, self._source.threads):
                self._put(batch)
                unsaved += len(batch.items)
                if unsaved >= FLUSH_EVERY:
                    self._store.flush()
                    unsaved = 0
                bar.advance(len(batch.items) + len(batch.failed))

    def _is_unchanged(self, photo: Photo) -> bool:
        entry = self._stored.get(photo.path)
        return entry is not None and photo.is_same(entry)

    def _load(self, photo: Photo) -> np.ndarray:
        """Pixels of a photo; none for bytes that the index has already. Runs in threads."""
        content = photo.read(self._source)
        if photo.digest in self._copies:
            return np.zeros(0, np.uint8)
        return photo.pixels(content, self._bundle.config.size)

    def _put(self, batch: Batch[Photo]) -> None:
        """Encode a batch and store it."""
        skipped = self._report.skipped
        skipped |= {photo.path: str(error) for photo, error in batch.failed}
        points: list[Point] = []
        fresh: list[tuple[Photo, np.ndarray]] = []
        for photo, pixels in zip(batch.items, batch.arrays, strict=True):
            if pixels.size:
                fresh.append((photo, pixels))
            elif twin := self._twin(photo):
                points.append(Point(photo.entry, twin.dense, twin.local))
            else:
                try:
                    content = self._source.content(photo.path)
                    fresh.append((photo, photo.pixels(content, self._bundle.config.size)))
                except DataError as error:
                    skipped[photo.path] = str(error)
        if fresh:
            encoded = self._bundle.encode_images([pixels for _, pixels in fresh])
            entries = [photo.entry for photo, _ in fresh]
            points += points_of(entries, encoded, self._bundle.config.weights)
        if points:
            self._store.upsert(points)
        for point in points:
            self._count(point.entry)
            self._copies[point.entry.digest] = point.entry.id

    def _twin(self, photo: Photo) -> Point | None:
        """A stored photo of the same bytes, unless it has been overwritten in this run."""
        found = self._store.fetch([self._copies[photo.digest]], local=True)
        return next((point for point in found if point.entry.digest == photo.digest), None)

    def _count(self, entry: Entry) -> None:
        before = self._stored.get(entry.path)
        if before is None:
            self._report.added += 1
        elif before.digest == entry.digest:
            self._report.unchanged += 1  # touched, but the bytes are the same
        else:
            self._report.updated += 1
