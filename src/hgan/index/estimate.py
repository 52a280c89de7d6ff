"""Estimate the cost of indexing a folder from a sample of its photos; nothing is written."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from hgan.errors import HganError
from hgan.index.points import entry_of
from hgan.index.store.manifest import IndexManifest, Quantize
from hgan.runtime.bundle import IMAGE_BATCH, Bundle
from hgan.runtime.region_grid import pooled
from hgan.runtime.stream import stream
from hgan.sources.open import open_source
from hgan.sources.types import Photo, Source

TRIED = 2 * IMAGE_BATCH
"""Number of photos in the sample, taken at even distances from the folder."""
ENTRY_BYTES = 700
"""Bytes per photo in addition to its vectors: metadata, and the indexes for filters and for large
searches. Photos with little EXIF need less."""
LOG_BYTES = 100 * 2**20
"""Size of the write-ahead log in bytes: a few files of 32 MB, for any number of photos."""
PROGRAM_BYTES = 400 * 2**20
"""Measured memory of a search process in bytes, without the model's files and the vectors."""


@dataclass(frozen=True)
class Estimate:
    """The cost of indexing a folder whose photos are all new."""

    photos: int
    """Number of photos in the folder."""
    skipped: int
    """Number of files that look like photos but are skipped because of their name or file type."""
    tried: int
    """Number of photos on which the time was measured."""
    disk: int
    """Size of the index in bytes."""
    memory: int
    """Memory of a search process in bytes: the program, the model, and the vectors that every
    search reads."""
    seconds: float
    """Expected time to index all photos, in seconds."""

    def lines(self) -> list[str]:
        """The estimate as lines of a table, with numbers rounded to two digits."""
        pace = self.photos / self.seconds
        skipped = f"; {self.skipped:,} files are skipped" if self.skipped else ""
        return [
            f"photos  {self.photos:>12,}{skipped}",
            f"disk    {_bytes(self.disk):>12}",
            f"memory  {_bytes(self.memory):>12}  to search",
            f"time    {_duration(self.seconds):>12}  at {_two_digits(pace)} photos per second, "
            f"measured on {self.tried}",
        ]


def estimate(
    folder: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | None = None,
    regions: int | None = None,
) -> Estimate:
    """Find the photos of a folder, and measure how long it takes to encode a sample of them.

    Raises:
        HganError: the folder does not exist, contains no photos, or no photo of the sample can be
            read.
    """
    source = open_source(folder)
    if not isinstance(bundle, Bundle):
        bundle = Bundle.load(bundle)
    bundle = pooled(bundle, regions)
    listing = source.find()
    photos = listing.photos
    measured = _measure(source, photos[:: max(1, len(photos) // TRIED)][:TRIED], bundle)
    widths = IndexManifest.of(source.root, bundle, quantize)
    # 8-bit local vectors replace those in float16; 8-bit dense vectors are stored in addition.
    local, dense, searched = (1, 3, 1) if quantize else (2, 2, 2)
    vectors = round(measured.regions * widths.local * local) + widths.dense * dense
    model = sum((bundle.folder / name).stat().st_size for name in bundle.config.files)
    return Estimate(
        photos=len(photos),
        skipped=len(listing.skipped),
        tried=measured.photos,
        disk=LOG_BYTES + len(photos) * (vectors + ENTRY_BYTES),
        memory=PROGRAM_BYTES + model + len(photos) * widths.dense * searched,
        seconds=measured.seconds / measured.photos * len(photos),
    )


@dataclass(frozen=True)
class _Measurement:
    photos: int
    seconds: float
    regions: float
    """Average number of regions per photo."""


def _measure(source: Source, photos: list[Photo], bundle: Bundle) -> _Measurement:
    """Read and encode photos as indexing does."""
    preprocessing = bundle.preprocessing

    def load(photo: Photo) -> np.ndarray:
        content = source.read(photo)
        entry_of(content)  # digest and EXIF take time as well
        return content.pixels(preprocessing)

    bundle.encode_images([preprocessing.blank()])  # loads the model
    start = perf_counter()
    regions: list[int] = []
    reasons: list[str] = []
    for batch in stream(photos, load, IMAGE_BATCH, source.threads):
        reasons += [str(error) for _, error in batch.failed]
        if batch.arrays:
            regions += bundle.encode_images(batch.arrays).mask.sum(axis=1).tolist()
    if not regions:
        raise HganError(f"none of the {len(photos)} photos in the sample can be read: {reasons[0]}")
    return _Measurement(len(regions), perf_counter() - start, sum(regions) / len(regions))


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
