"""What does an index cost on top of running the model?

    python benchmarks/indexing.py --photos PHOTOS --number 1000

Indexes photos into a scratch folder and runs the image tower alone over the same photos, decoding
included in both, in turns in one process; prints photos per second and the ratio. The photos are
read once before, so that the disk is as warm for the first as for the last.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from hgan.index.indexer import index_folder
from hgan.runtime.bundle import IMAGE_BATCH, Bundle
from hgan.runtime.images import PHOTO_SUFFIXES, open_photo, to_pixels
from hgan.runtime.stream import stream


def main() -> None:
    """Measure both ways in turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="a folder")
    parser.add_argument("--number", type=int, default=1000, help="of photos")
    parser.add_argument("--bundle", type=Path, help="default: the one that ships")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    bundle = Bundle.load(options.bundle)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        photos = copy_photos(options.photos, folder, options.number)
        extract(photos[:IMAGE_BATCH], bundle)  # loads the model
        rates: dict[str, list[float]] = {"image tower alone": [], "hgan index": []}
        for turn in range(options.rounds):
            start = time.perf_counter()
            extract(photos, bundle)
            middle = time.perf_counter()
            report = index_folder(folder, Path(scratch) / f"index{turn}", bundle)
            end = time.perf_counter()
            assert report.added == len(photos), report.skipped
            rates["image tower alone"].append(len(photos) / (middle - start))
            rates["hgan index"].append(len(photos) / (end - middle))
    print(f"{len(photos):,} photos, bundle {bundle.config.name}, best of {options.rounds}\n")
    for name, found in rates.items():
        print(f"{name:20}{max(found):8.1f} photos/s")
    alone, indexing = (max(found) for found in rates.values())
    print(f"indexing runs at {indexing / alone:.0%} of the image tower alone")


def copy_photos(source: Path, folder: Path, number: int) -> list[Path]:
    """The first photos of a folder into another."""
    folder.mkdir()
    found = sorted(p for p in source.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
    for i, path in enumerate(found[:number]):
        shutil.copy(path, folder / f"{i:06}{path.suffix}")
    return sorted(folder.iterdir())


def extract(photos: list[Path], bundle: Bundle) -> None:
    """Decode and encode photos, keeping nothing."""

    def load(path: Path) -> np.ndarray:
        size = bundle.config.size
        return to_pixels(open_photo(path, hint=size), size)

    for batch in stream(photos, load, IMAGE_BATCH):
        bundle.encode_images(batch.arrays)


if __name__ == "__main__":
    main()
