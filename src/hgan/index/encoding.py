"""Read photos in threads, and encode them in batches; the writer stores the points that this makes.

A photo with the same bytes as a stored one is read, but not encoded: it gets the stored vectors.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from hgan.index.points import entry_of, points_of
from hgan.index.report import IndexReport
from hgan.index.store.contract import Entry, Point
from hgan.runtime.bundle import Bundle
from hgan.runtime.stream import Batch, stream
from hgan.sources.left_out import note_failed
from hgan.sources.types import Photo, Source


@dataclass
class _Reading:
    """A photo that is being indexed."""

    photo: Photo
    entry: Entry | None = None
    """Set when the photo has been read."""
    copy: Point | None = None
    """A stored photo with the same bytes, whose vectors are reused."""


@dataclass(frozen=True)
class PhotoEncoder:
    """Reads and encodes the photos of a source."""

    source: Source
    bundle: Bundle
    """The bundle of the index, with the index's number of regions."""
    stored_copy: Callable[[str], Point | None]
    """Finds a stored photo by the digest of its bytes; called in threads."""

    def encode(
        self, photos: Iterable[Photo], report: IndexReport
    ) -> Iterator[tuple[list[Point], int]]:
        """Read and encode photos.

        Args:
            photos: the photos.
            report: photos that cannot be read are added to it.

        Yields:
            Points without user tags, and how many photos were read for them.
        """
        todo = [_Reading(photo) for photo in photos]
        for batch in stream(todo, self._load, self.bundle.image_batch, self.source.threads):
            for read, error in batch.failed:
                note_failed(read.photo.path, error, report.skipped, report.left_out)
            yield self._encode(batch), len(batch.items) + len(batch.failed)

    def _load(self, reading: _Reading) -> np.ndarray:
        """Read a photo and return its pixels; empty if the index has a photo with the same bytes.

        Runs in threads.
        """
        content = self.source.content(reading.photo)
        reading.copy = self.stored_copy(content.digest)
        known = reading.copy.entry.fingerprint if reading.copy is not None else ""
        if known:
            reading.entry = entry_of(content, known)
            return np.zeros(0, np.uint8)
        pixels, fingerprint = content.decode(self.bundle.preprocessing)
        reading.entry = entry_of(content, fingerprint)
        return pixels

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
            encoded = self.bundle.encode_images([pixels for _, pixels in fresh], len(fresh))
            entries = [entry for entry, _ in fresh]
            points += points_of(entries, encoded, self.bundle.config.weights)
        return points
