"""Compare the cost of running a bundle with that of another one: speed, latency, sizes.

    python benchmarks/bundle_cost.py bundles/new
    python benchmarks/bundle_cost.py bundles/new --against bundles/old --photos photos --texts 50

Both bundles encode the same photos and texts in turns, in one process, so that other work on the
machine slows both. The ratio is computed for each turn; the table shows its median and quartiles.
Decoding of photos is not measured. The default for `--against` is the bundle shipped with hgan.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from hgan.data.captions.read import read_captions
from hgan.runtime.bundle import IMAGE_BATCH, Bundle
from hgan.runtime.similarity import dense_width

DATA = Path(os.environ.get("HGAN_DATA", "data")) / "flickr8k"
SPEED, LATENCY, INDEX, MEGABYTES = 0.8, 1.15, 1.15, 52.0
"""Bars: at least this share of the photos per second, at most these of the latency and of the size
of an index, and at most this size of the bundle."""


class Turns(NamedTuple):
    """Seconds of each turn of the new and of the old bundle."""

    new: np.ndarray
    old: np.ndarray

    def ratio(self) -> str:
        """Median and quartiles of the time of the new bundle over that of the old one."""
        low, middle, high = np.quantile(self.new / self.old, (0.25, 0.5, 0.75))
        return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def in_turns(new: Callable[[int], object], old: Callable[[int], object], turns: int) -> Turns:
    """Time both functions of the turn alternately; the one that goes first alternates too."""
    for warm in (new, old):
        warm(0)
    seconds = np.zeros((turns, 2))
    for turn in range(turns):
        for which in (turn % 2, 1 - turn % 2):
            start = perf_counter()
            (new, old)[which](turn)
            seconds[turn, which] = perf_counter() - start
    return Turns(seconds[:, 0], seconds[:, 1])


def encode_photos(bundle: Bundle, paths: Sequence[Path]) -> Callable[[int], object]:
    """A function that encodes a batch of decoded photos."""
    pixels = [bundle.preprocessing.read(path) for path in paths]
    return lambda _: bundle.encode_images(pixels)


def encode_text(bundle: Bundle, texts: Sequence[str]) -> Callable[[int], object]:
    """A function that encodes one text, another one in each turn."""
    return lambda turn: bundle.encode_texts([texts[turn % len(texts)]])


def index_bytes(bundle: Bundle) -> int:
    """Bytes of an item's vectors in an index, in float16."""
    local = len(bundle.boxes) * bundle.widths["local"] if bundle.weights["local"] else 0
    return 2 * (dense_width(bundle.widths, bundle.weights) + local)


def megabytes(bundle: Bundle) -> float:
    """Size of the files of a bundle."""
    return sum(file.stat().st_size for file in bundle.folder.iterdir()) / 1e6


def main() -> None:
    """Measure both bundles and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--against", type=Path, help="default: the bundle shipped with hgan")
    parser.add_argument("--captions", type=Path, default=DATA / "captions.jsonl")
    parser.add_argument("--photos", type=Path, default=DATA / "images")
    parser.add_argument("--batches", type=int, default=20, help="turns of a batch of photos")
    parser.add_argument("--texts", type=int, default=200, help="turns of one text")
    chosen = parser.parse_args()
    new, old = Bundle.load(chosen.bundle), Bundle.load(chosen.against)
    captions = read_captions(chosen.captions).split("test")
    paths = [chosen.photos / name for name in captions.images[:IMAGE_BATCH]]
    photos = in_turns(encode_photos(new, paths), encode_photos(old, paths), chosen.batches)
    texts = captions.texts[: chosen.texts]
    queries = in_turns(encode_text(new, texts), encode_text(old, texts), chosen.texts)
    speed = Turns(1 / photos.new, 1 / photos.old)
    items, sizes = (index_bytes(new), index_bytes(old)), (megabytes(new), megabytes(old))

    table = Table("", new.folder.name, old.folder.name, "ratio", "bar", title="cost of a bundle")
    rates = [f"{len(paths) / np.median(part):.1f}" for part in photos]
    table.add_row("photos/s", *rates, speed.ratio(), f"at least {SPEED}")
    times = [f"{1000 * np.median(part):.1f}" for part in queries]
    table.add_row("one text, ms", *times, queries.ratio(), f"at most {LATENCY}")
    ratio = f"{items[0] / items[1]:.2f}"
    table.add_row("index, bytes per photo", *map(str, items), ratio, f"at most {INDEX}")
    ratio = f"{sizes[0] / sizes[1]:.2f}"
    table.add_row("bundle, MB", *(f"{x:.1f}" for x in sizes), ratio, f"at most {MEGABYTES} MB")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
