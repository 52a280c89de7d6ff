"""Measure the overhead of indexing over running only the image network.

    python benchmarks/indexing.py --photos PHOTOS --number 1000

Indexes photos into a temporary folder, and runs only the image network on the same photos, in turn
in one process. Both include decoding. Prints photos per second and the ratio. The photos are copied
first, so that they are in the disk cache for both.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from hgan.index.indexer import index_folder
from hgan.runtime.bundle import IMAGE_BATCH, Bundle
from hgan.runtime.formats import PHOTO
from hgan.runtime.stream import stream


def main() -> None:
    """Measure both methods in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--number", type=int, default=1000, help="number of photos")
    parser.add_argument("--bundle", type=Path, help="default: the bundle of hgan")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    bundle = Bundle.load(options.bundle)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        photos = copy_photos(options.photos, folder, options.number)
        extract(photos[:IMAGE_BATCH], bundle)  # loads the model
        rates: dict[str, list[float]] = {"image network only": [], "hgan index": []}
        for turn in range(options.rounds):
            start = time.perf_counter()
            extract(photos, bundle)
            middle = time.perf_counter()
            report = index_folder(folder, Path(scratch) / f"index{turn}", bundle)
            end = time.perf_counter()
            assert report.added == len(photos), report.skipped
            rates["image network only"].append(len(photos) / (middle - start))
            rates["hgan index"].append(len(photos) / (end - middle))
    print(f"{len(photos):,} photos, bundle {bundle.config.name}, best of {options.rounds}\n")
    for name, found in rates.items():
        print(f"{name:20}{max(found):8.1f} photos/s")
    network, indexing = (max(found) for found in rates.values())
    print(f"indexing has {indexing / network:.0%} of the speed of the image network")


def copy_photos(source: Path, folder: Path, number: int) -> list[Path]:
    """Copy the first photos of a folder to another folder."""
    folder.mkdir()
    found = sorted(p for p in source.rglob("*") if p.suffix.lower() in PHOTO.suffixes)
    for i, path in enumerate(found[:number]):
        shutil.copy(path, folder / f"{i:06}{path.suffix}")
    return sorted(folder.iterdir())


def extract(photos: list[Path], bundle: Bundle) -> None:
    """Decode and encode photos, without storing the result."""
    for batch in stream(photos, bundle.preprocessing.read, IMAGE_BATCH):
        bundle.encode_images(batch.arrays)


if __name__ == "__main__":
    main()
