"""Estimate the cost of indexing a folder; nothing is written.

The start of each file shows whether it is a photo of a sufficient size, so the numbers of files are
those of the index, except for damage inside a photo. Time and size are measured on a sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np

from hgan.errors import DataError, HganError
from hgan.index.folders import Folders, open_photos
from hgan.index.points import entry_of
from hgan.index.store.manifest import IndexManifest, Quantize
from hgan.progress import progress
from hgan.runtime.bundle import IMAGE_BATCH, Bundle
from hgan.runtime.region_grid import pooled
from hgan.runtime.stream import stream
from hgan.runtime.video import FRAMES, file_of, video_of
from hgan.sources.left_out import LEAST_SIDE, LeftOut, note_failed
from hgan.sources.types import Listing, Photo, Source
from hgan.sources.walk import count_ignored

_TOGETHER = 64
"""Files that are opened before the progress is shown again."""
TRIED = 2 * IMAGE_BATCH
"""Number of photos in the sample, taken at even distances from the folder."""
ENTRY_BYTES = 1100
"""Bytes per photo in addition to its vectors: metadata, and the indexes for filters and for large
searches. Photos with little EXIF need less."""
LOG_BYTES = 100 * 2**20
"""Size of the write-ahead log in bytes: a few files of 32 MB, for any number of photos."""
PROGRAM_BYTES = 400 * 2**20
"""Measured memory of a search process in bytes, without the model's files and the vectors."""


_FRAMES_EACH = f"by {FRAMES} frames each, which are among the photos"


@dataclass(frozen=True)
class Estimate:
    """The cost of indexing a folder whose photos are all new."""

    photos: int
    """Number of photos that would be indexed."""
    skipped: int
    """Number of files that look like photos but cannot be read."""
    left_out: LeftOut
    """Other files of the folder."""
    tried: int
    """Number of photos on which the time was measured."""
    disk: int
    """Size of the index in bytes."""
    memory: int
    """Memory of a search process in bytes: the program, the model, and the vectors that every
    search reads."""
    seconds: float
    """Expected time to index all photos, in seconds."""
    sidecars: int = 0
    """XMP sidecars of the photos."""
    videos: int = 0
    """Videos, of which `photos` contains the frames."""

    def lines(self) -> list[str]:
        """The estimate as lines of a table, with numbers rounded to two digits."""
        pace = self.photos / self.seconds
        return [
            _row("photos", f"{self.photos:,}"),
            *([_row("skipped", f"{self.skipped:,}", "cannot be read")] if self.skipped else []),
            *([_row("videos", f"{self.videos:,}", _FRAMES_EACH)] if self.videos else []),
            *(_row("left out", f"{one.count:,}", one.text) for one in self.left_out.reasons()),
            *([_row("sidecars", f"{self.sidecars:,}", "XMP")] if self.sidecars else []),
            _row("disk", _bytes(self.disk)),
            _row("memory", _bytes(self.memory), "to search"),
            _row(
                "time",
                _duration(self.seconds),
                f"at {_two_digits(pace)} photos per second, measured on {self.tried}",
            ),
        ]


def estimate(
    folder: Folders,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | None = None,
    regions: int | None = None,
    exclude: Sequence[str] = (),
) -> Estimate:
    """Find the photos of a folder, and measure how long it takes to encode a sample of them.

    Args:
        folder: see `index_folder`, also for the other arguments.
        bundle: the model.
        quantize: format of the vectors.
        regions: number of local vectors per photo.
        exclude: rules of gitignore for files to leave out.

    Raises:
        ConfigError: a rule is not valid.
        HganError: the folder does not exist, contains no photos, or no photo of the sample can be
            read.
    """
    source = open_photos(folder, None, exclude).excluding(exclude)
    if not isinstance(bundle, Bundle):
        bundle = Bundle.load(bundle)
    bundle = pooled(bundle, regions)
    listing = source.find()
    photos = _readable(source, listing)
    measured = _measure(source, photos[:: max(1, len(photos) // TRIED)][:TRIED], bundle)
    for photo, error in measured.failed:
        note_failed(photo.path, error, listing.skipped, listing.left_out)
    readable = {photo.path for photo in photos} - {photo.path for photo, _ in measured.failed}
    count = len(readable)
    item = item_bytes(IndexManifest.of(source.root, bundle, quantize), measured.regions)
    model = sum((bundle.folder / name).stat().st_size for name in bundle.config.files)
    return Estimate(
        photos=count,
        skipped=len(listing.skipped),
        left_out=listing.left_out,
        tried=measured.photos,
        disk=LOG_BYTES + count * item.disk,
        memory=PROGRAM_BYTES + model + count * item.searched,
        seconds=measured.seconds / measured.photos * count,
        sidecars=len(listing.sidecars()),
        videos=len({file_of(path) for path in readable if video_of(path)}),
    )


class ItemBytes(NamedTuple):
    """Bytes that each item of an index takes."""

    disk: int
    """On disk, with its metadata."""
    searched: int
    """Of the vectors that every search reads, which should be in memory."""


def item_bytes(manifest: IndexManifest, regions: float) -> ItemBytes:
    """Bytes of an item in an index with this manifest.

    Args:
        manifest: widths and format of the vectors.
        regions: average number of local vectors of a photo.
    """
    each = 1 if manifest.quantize else 2
    dense, local = manifest.dense * each, round(regions * manifest.local * each)
    return ItemBytes(dense + local + ENTRY_BYTES, dense)


def _readable(source: Source, listing: Listing) -> list[Photo]:
    """The photos of a listing whose files start well; all other files are counted in it.

    Raises:
        HganError: there are none.
    """
    photos = listing.photos
    kept: list[Photo] = []

    def glance(photo: Photo) -> np.ndarray:
        source.glance(photo)
        return np.zeros(0, np.uint8)

    with progress("look", total=len(photos), unit="photos") as bar:
        for batch in stream(photos, glance, _TOGETHER, source.threads):
            kept += batch.items
            for photo, error in batch.failed:
                note_failed(photo.path, error, listing.skipped, listing.left_out)
            bar.advance(len(batch.items) + len(batch.failed))
    listing.left_out.ignored += count_ignored(source, listing.ignored)
    if not kept:
        why = next(iter(listing.skipped.values()), f"they have a side below {LEAST_SIDE} pixels")
        raise HganError(f"{source.root}: none of the {len(photos)} photos can be indexed: {why}")
    return kept


@dataclass(frozen=True)
class _Measurement:
    photos: int
    seconds: float
    regions: float
    """Average number of regions per photo."""
    failed: list[tuple[Photo, DataError]]
    """Photos that cannot be read, with the reason."""


def _measure(source: Source, photos: list[Photo], bundle: Bundle) -> _Measurement:
    """Read and encode photos as indexing does."""
    preprocessing = bundle.preprocessing

    def load(photo: Photo) -> np.ndarray:
        content = source.content(photo)
        pixels, fingerprint = content.decode(preprocessing)
        entry_of(content, fingerprint)  # digest and metadata take time as well
        return pixels

    bundle.encode_images([preprocessing.blank()])  # loads the model
    start = perf_counter()
    regions: list[int] = []
    failed: list[tuple[Photo, DataError]] = []
    for batch in stream(photos, load, bundle.image_batch, source.threads):
        failed += batch.failed
        if batch.arrays:
            regions += _regions(bundle, batch.arrays)
    if not regions:
        raise HganError(
            f"none of the {len(photos)} photos in the sample can be read: {failed[0][1]}"
        )
    seconds = perf_counter() - start
    return _Measurement(len(regions), seconds, sum(regions) / len(regions), failed)


def _regions(bundle: Bundle, pixels: list[np.ndarray]) -> list[int]:
    """Number of regions of each photo."""
    counts: list[int] = bundle.encode_images(pixels, len(pixels)).mask.sum(axis=1).tolist()
    return counts


def _row(name: str, value: str, more: str = "") -> str:
    return f"{name:8}  {value:>12}  {more}".rstrip()


def _two_digits(number: float) -> str:
    """Format a number with two significant digits: 12,345 as 12,000, and 0.1234 as 0.12."""
    return f"{float(f'{number:.2g}'):,.9f}".rstrip("0").rstrip(".")


def _bytes(number: float) -> str:
    for unit in ("MB", "GB"):
        number /= 1000 if unit == "GB" else 1e6
        if number < 1000:
            break
    return f"{_two_digits(number)} {unit}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    if seconds < 90 * 60:
        return f"{_two_digits(seconds / 60)} minutes"
    return f"{_two_digits(seconds / 3600)} hours"
