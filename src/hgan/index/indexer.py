"""A folder of photos to an index: what is new or changed is encoded, what is gone is dropped.

Photos are stored as they are encoded, so that a run that is cut short is continued by the next.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hgan.errors import DataError
from hgan.index.points import entry_of, is_same, points_of
from hgan.index.shard import WHOLE, Part
from hgan.index.store.contract import Entry, Point, Store
from hgan.index.store.manifest import IndexManifest, Quantize
from hgan.index.store.open import create_store, is_address, read_manifest
from hgan.progress import console, progress
from hgan.runtime.bundle import IMAGE_BATCH, Bundle
from hgan.runtime.region_grid import pooled
from hgan.runtime.stream import Batch, stream
from hgan.sources.open import open_source
from hgan.sources.types import Photo, Source

FLUSH_EVERY = 500
"""Items between two flushes. A kill loses nothing that was stored; a power cut may lose these."""


@dataclass
class IndexReport:
    """What a run did; every photo of the folder, or text of the file, is in one of these."""

    added: int = 0
    updated: int = 0
    removed: int = 0
    """Were in the index and are gone from the folder or the file, or cannot be read any more."""
    unchanged: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    """Files, or places in a file, that were left out, with the reason."""


def index_folder(
    folder: Path | str,
    to: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | None = None,
    part: Part = WHOLE,
    regions: int | None = None,
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
        regions: how many local vectors a photo has in a new index, see
            `hgan.runtime.region_grid`; by default as many as the model makes.

    Raises:
        HganError: there is no such folder, or no photo in it.
        SourceError: the photos cannot be reached.
        IndexingError: the index is of other photos or another bundle, is open elsewhere, or cannot
            be written.
    """
    source = open_source(folder)
    report = IndexReport()
    photos, unread = source.find(report.skipped)  # before an index is made for nothing
    photos = part.own(photos, report.skipped)
    with open_updater(source, to, bundle, quantize, part, regions) as updater:
        updater.update(photos, unread, report)
        updater.optimize()
    return report


@contextmanager
def open_updater(
    source: Source,
    to: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | None = None,
    part: Part = WHOLE,
    regions: int | None = None,
) -> Iterator["Updater"]:
    """Open or make an index to bring it up to date; see `index_folder`."""
    target = to if is_address(to) else Path(to)
    if not isinstance(bundle, Bundle):
        bundle = Bundle.load(bundle)
    bundle.check()
    pooled(bundle, regions)  # refuses what the model cannot have, before anything is made
    manifest = IndexManifest.of(source.root, bundle, quantize, regions=regions)
    with create_store(target, manifest) as store:
        yield Updater(source, store, pooled(bundle, read_manifest(target).regions), part)


class Updater:
    """Brings an open index up to date with its photos, once or again and again."""

    def __init__(self, source: Source, store: Store, bundle: Bundle, part: Part = WHOLE) -> None:
        """Read what the index remembers."""
        self._source = source
        self._store = store
        self._bundle = bundle
        # Those of other parts are not seen, so they are never taken for gone.
        self._stored = {entry.path: entry for entry in store.entries() if part.holds(entry.path)}
        self._copies = {entry.digest: entry.id for entry in self._stored.values()}

    def is_unchanged(self, photo: Photo) -> bool:
        """True where the index has the photo as it is."""
        entry = self._stored.get(photo.path)
        return entry is not None and is_same(photo, entry)

    def update(
        self,
        photos: list[Photo],
        unread: tuple[str, ...],
        report: IndexReport,
        aside: Collection[str] = (),
    ) -> None:
        """Encode and store what is new or changed, drop what is gone.

        Args:
            photos: all that are there now.
            unread: folders that could not be read, as prefixes; what was in them stays.
            report: counts; photos that it has as skipped already are none.
            aside: paths of photos that stay in the index as they are there, or out of it.
        """
        self._report = report
        self._encode([photo for photo in photos if photo.path not in aside])
        kept = {photo.path for photo in photos} - report.skipped.keys()
        gone = [
            entry
            for path, entry in self._stored.items()
            if path not in kept and not path.startswith(unread)
        ]
        report.removed = len(gone)
        if gone:
            self._store.delete([entry.id for entry in gone])
        for entry in gone:
            del self._stored[entry.path]

    def optimize(self) -> None:
        """Bring the index into the form that is fastest to search."""
        with console.status("arranging the index"):
            self._store.optimize()

    def _encode(self, photos: list[Photo]) -> None:
        changed = [photo for photo in photos if not self.is_unchanged(photo)]
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
                points.append(Point(entry_of(photo), twin.dense, twin.local))
            else:
                try:
                    content = self._source.content(photo.path)
                    fresh.append((photo, photo.pixels(content, self._bundle.config.size)))
                except DataError as error:
                    skipped[photo.path] = str(error)
        if fresh:
            encoded = self._bundle.encode_images([pixels for _, pixels in fresh])
            entries = [entry_of(photo) for photo, _ in fresh]
            points += points_of(entries, encoded, self._bundle.config.weights)
        if points:
            self._store.upsert(points)
        for point in points:
            self._count(point.entry)
            self._stored[point.entry.path] = point.entry
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
