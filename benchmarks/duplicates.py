"""Measure where near-duplicates begin for a bundle: the threshold of `hgan.search.duplicates`.

    python benchmarks/duplicates.py                  # the bundle of hgan
    python benchmarks/duplicates.py bundles/mine --number 1000

Encodes different photos, and copies of some of them: saved again at quality 90 and 50, 10 %
brighter, cropped by 2 % at each side, and halved in size. Prints the cosines of dense vectors
(context and slots, weighted by level) of a photo and its copy, and those of the most similar pairs
of different photos, with the names of their files. Look at these: photos of a burst are different,
unless nobody can tell them apart. The threshold belongs between the two.
"""

import argparse
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance
from rich.console import Console
from rich.table import Table

from hgan.progress import progress
from hgan.runtime.bundle import IMAGE_BATCH, Bundle
from hgan.runtime.images import open_photo
from hgan.runtime.similarity import dense
from hgan.runtime.stream import stream
from hgan.search.duplicates import NEAR

DATA = Path(os.environ.get("HGAN_DATA", "data")) / "flickr8k" / "images"
QUANTILES = (0, 5, 50)


def saved(photo: Image.Image, quality: int) -> Image.Image:
    """The photo after it is saved as JPEG of this quality."""
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=quality)
    return Image.open(file)


def cropped(photo: Image.Image, share: float) -> Image.Image:
    """The photo without this share of its width and height at each side."""
    x, y = photo.width * share, photo.height * share
    return photo.crop((round(x), round(y), round(photo.width - x), round(photo.height - y)))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "saved again, quality 90": lambda photo: saved(photo, 90),
    "saved again, quality 50": lambda photo: saved(photo, 50),
    "10 % brighter": lambda photo: ImageEnhance.Brightness(photo).enhance(1.1),
    "cropped by 2 %": lambda photo: cropped(photo, 0.02),
    "half the size": lambda photo: photo.reduce(2),
}


def encode(
    bundle: Bundle, files: Sequence[Path], change: Callable[[Image.Image], Image.Image], title: str
) -> np.ndarray:
    """Unit dense vectors (N, E) of photos, each changed before it is encoded."""
    pixels, parts = bundle.preprocessing.pixels, []
    with progress(title, total=len(files), unit="photos") as bar:
        # At full size: copies are made of the photo as it is on disk.
        read = stream(files, lambda path: pixels(change(open_photo(path))), IMAGE_BATCH)
        for batch in read:
            if batch.failed:
                raise batch.failed[0][1]
            parts.append(dense(bundle.encode_images(batch.arrays), bundle.config.weights))
            bar.advance(len(batch.items))
    vectors = np.concatenate(parts)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def most_similar(vectors: np.ndarray, number: int) -> list[tuple[float, int, int]]:
    """The most similar pairs of different rows of unit vectors (N, E): cosine, row, row."""
    cosines = np.triu(vectors @ vectors.T, 1)
    best = np.argsort(cosines, axis=None)[::-1][:number]
    rows, columns = np.unravel_index(best, cosines.shape)
    return [(float(cosines[a, b]), int(a), int(b)) for a, b in zip(rows, columns, strict=True)]


def main() -> None:
    """Measure one bundle and print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", nargs="?", type=Path, help="default: the bundle of hgan")
    parser.add_argument("--photos", type=Path, default=DATA)
    parser.add_argument("--number", type=int, default=7000, help="different photos")
    parser.add_argument("--copied", type=int, default=300, help="photos of which copies are made")
    parser.add_argument("--pairs", type=int, default=15, help="most similar pairs to show")
    chosen = parser.parse_args()
    bundle = Bundle.load(chosen.bundle)
    files = sorted(chosen.photos.glob("*.jpg"))
    files = [files[i] for i in np.random.default_rng(0).permutation(len(files))[: chosen.number]]
    vectors = encode(bundle, files, lambda photo: photo, "photos")
    console = Console()
    table = Table("copies", *("lowest" if not q else f"{q} %" for q in QUANTILES), f">= {NEAR}")
    for name, change in COPIES.items():
        copies = encode(bundle, files[: chosen.copied], change, name)
        cosines = (copies * vectors[: chosen.copied]).sum(1)
        found = f"{100 * (cosines >= NEAR).mean():.1f} %"
        table.add_row(name, *(f"{np.percentile(cosines, q):.4f}" for q in QUANTILES), found)
    console.print(table)
    table = Table("most similar different photos", "", "cosine")
    for cosine, a, b in most_similar(vectors, chosen.pairs):
        table.add_row(files[a].name, files[b].name, f"{cosine:.4f}")
    console.print(table)


if __name__ == "__main__":
    main()
