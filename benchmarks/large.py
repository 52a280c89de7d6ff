"""Measure speed, size and memory of an index of 100,000 photos.

    python benchmarks/large.py --photos data/flickr8k/images --captions data/flickr8k/captions.jsonl

Encodes real photos, and creates many items from each of them by small random rotations of its
vectors. Indexes the items, searches with real captions in a new process, and prints p50 and p99 of
the time of a text query, including encoding; bytes per item on disk, without the write-ahead log;
and the peak memory of the searching process. `--keep FOLDER` keeps the index for another run;
`--beside INDEX` then searches both indexes in turn, and prints the ratio of their times.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hgan.encoded import Encoded
from hgan.index.store.contract import Entry, Point
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.open import create_store
from hgan.progress import console, progress
from hgan.runtime.bundle import IMAGE_BATCH, Bundle
from hgan.runtime.region_grid import pooled
from hgan.runtime.similarity import dense
from hgan.runtime.stream import stream
from hgan.search.searcher import CANDIDATES, open_index

BATCH = 256
"""Points that are written at once."""
WARM = 50
"""Warm-up queries, which load the model and the vectors into memory."""
EXHAUSTIVE = 20
"""One of this many queries is searched exhaustively, too, when two indexes are compared."""
BARS = {"p50": 10.0, "p99": 40.0, "bytes": 12_000, "memory": 1.5e9}
"""Maximum values: milliseconds, milliseconds, bytes per item, bytes."""


class Measured(NamedTuple):
    """The measurements of the searching process."""

    milliseconds: list[float]
    """Time of each query."""
    memory: int
    """Peak memory in bytes."""


def main() -> None:
    """Build an index, or use the existing one, and measure it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="folder of photos")
    parser.add_argument("--captions", type=Path, required=True, help="captions as JSON Lines")
    parser.add_argument("--bundle", type=Path, help="default: the bundle of hgan")
    parser.add_argument("--number", type=int, default=100_000, help="number of items")
    parser.add_argument("--encode", type=int, default=2000, help="number of real photos")
    parser.add_argument("--turn", type=float, default=0.9, help="cosine of an item's vectors and "
                        "those of its photo")  # fmt: skip
    parser.add_argument("--queries", type=int, default=2000, help="number of queries")
    parser.add_argument("--quantize", choices=["int8"], help="as for `hgan index`")
    parser.add_argument("--regions", type=int, help="as for `hgan index`")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="default: a temporary folder")
    parser.add_argument("--beside", type=Path, metavar="INDEX", help="of the same items, for "
                        "comparison")  # fmt: skip
    parser.add_argument("--search", type=Path, metavar="INDEX", help=argparse.SUPPRESS)
    options = parser.parse_args()
    queries = read_queries(options.captions, options.queries)
    if options.search:
        print(json.dumps(search(options.search, queries)))
        return
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "index"
        if not (folder / "index.json").is_file():
            build(folder, options)
        again = [sys.executable, *sys.argv, "--search", str(folder)]
        found = Measured(*json.loads(subprocess.run(again, stdout=-1, check=True).stdout))
        report(options.number, folder, found)
        if options.beside:
            compare(folder, options.beside, queries)


def compare(folder: Path, other: Path, queries: list[str]) -> None:
    """Search two indexes of the same items in turn, so that both meet the same load."""
    seconds: list[list[float]] = [[], []]
    same, overlap = [], []
    with open_index(folder) as first, open_index(other) as second:
        indexes = first, second
        for number, text in enumerate(queries):
            found: list[set[str]] = [set(), set()]
            for turn in (0, 1) if number % 2 else (1, 0):
                start = time.perf_counter()
                found[turn] = {hit.id for hit in indexes[turn].search(text)}
                if number >= WARM:
                    seconds[turn].append(time.perf_counter() - start)
            same.append(len(found[0] & found[1]) / 10)
            if number % EXHAUSTIVE == 0:
                whole = [{hit.id for hit in index.exhaustive(text)} for index in indexes]
                overlap.append([len(a & b) / 10 for a, b in zip(found, whole, strict=True)])
    p50, p99 = (np.quantile(seconds, share, axis=1) for share in (0.5, 0.99))
    print(f"\ntime beside {other}: p50 {p50[0] / p50[1]:.2f}, p99 {p99[0] / p99[1]:.2f}; "
          f"{np.mean(same):.1%} of the first ten hits are the same; overlap with the exhaustive "
          f"search of each: {np.mean(overlap, axis=0).round(3).tolist()}")  # fmt: skip


def build(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Index variants of real photos, as `hgan index` does.

    Returns:
        The seconds to `store` the items, and to build the `graph`.
    """
    if options.photos is None:
        sys.exit("--photos: a folder is needed to build an index")
    shutil.rmtree(folder, ignore_errors=True)  # an incomplete index
    bundle = pooled(Bundle.load(options.bundle), options.regions)
    records = [json.loads(line) for line in options.captions.read_text().splitlines()]
    names = [record["image"] for record in records][: options.encode]
    encoded = encode_photos(options.photos, names, bundle)
    manifest = IndexManifest.of(options.photos, bundle, options.quantize, regions=options.regions)
    start = time.perf_counter()
    with (
        create_store(folder, manifest) as store,
        progress("index", total=options.number, unit="items") as bar,
    ):
        for batch in variants(encoded, names, options.number, options.turn, bundle):
            store.upsert(batch)
            bar.advance(len(batch))
        stored = time.perf_counter()
        with console.status("optimizing the index"):
            store.optimize()
        count = store.count()
    end = time.perf_counter()
    assert count == options.number, count
    print(f"stored in {stored - start:.0f} s, optimized in {end - stored:.0f} s")
    return {"store": stored - start, "graph": end - stored}


def encode_photos(root: Path, names: list[str], bundle: Bundle) -> Encoded[np.ndarray]:
    """Encode the photos."""
    parts = []

    def load(name: str) -> np.ndarray:
        return bundle.preprocessing.read(root / name)

    with progress("encode", total=len(names), unit="photos") as bar:
        for batch in stream(names, load, IMAGE_BATCH):
            parts.append(bundle.encode_images(batch.arrays))
            bar.advance(len(batch.items) + len(batch.failed))
    levels = ("context", "slots", "local", "mask")
    return Encoded(*(np.concatenate([getattr(part, level) for part in parts]) for level in levels))


def variants(
    encoded: Encoded[np.ndarray], names: list[str], number: int, turn: float, bundle: Bundle
) -> Iterator[list[Point]]:
    """Batches of items. Each is a photo whose unit vectors are rotated in random directions;
    `turn` is the cosine of the angle."""
    rng = np.random.default_rng(0)

    def turned(vectors: np.ndarray) -> np.ndarray:
        away = rng.standard_normal(vectors.shape, np.float32)
        away -= (away * vectors).sum(-1, keepdims=True) * vectors
        away /= np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-9)
        return turn * vectors + np.float32((1 - turn**2) ** 0.5) * away

    for start in range(0, number, BATCH):
        rows = np.arange(start, min(start + BATCH, number)) % len(encoded.context)
        batch = Encoded(
            turned(encoded.context[rows]),
            turned(encoded.slots[rows]),
            turned(encoded.local[rows]),
            encoded.mask[rows],
        )
        vectors = dense(batch, bundle.config.weights)
        points = []
        for place, row in enumerate(rows):
            name, digest = names[row], f"{start + place:064x}"
            path = f"{(start + place) // 1000}/{start + place}-{name}"
            entry = Entry(path, 100_000 + place, 10**18, digest, camera="Canon EOS 5D")
            points.append(Point(entry, vectors[place], batch.local[place][batch.mask[place]]))
        yield points


def search(folder: Path, queries: list[str]) -> Measured:
    """Measure the time of each query, in a process that did nothing else."""
    with open_index(folder) as index:
        for text in queries[:WARM]:
            index.search(text)
        seconds = []
        for text in queries[WARM:]:
            start = time.perf_counter()
            index.search(text)
            seconds.append(time.perf_counter() - start)
    return Measured([1e3 * value for value in seconds], peak_memory())


def report(number: int, folder: Path, found: Measured) -> None:
    """Print the measurements, with their maximum values."""
    each = size(folder) / number
    p50, p99 = np.quantile(found.milliseconds, [0.5, 0.99])
    rows = [
        ("p50 of a text query", f"{p50:.2f} ms", p50, BARS["p50"], f"{BARS['p50']:.0f} ms"),
        ("p99 of a text query", f"{p99:.2f} ms", p99, BARS["p99"], f"{BARS['p99']:.0f} ms"),
        ("disk per item", f"{each:,.0f} B", each, BARS["bytes"], f"{BARS['bytes']:,} B"),
        ("peak memory", f"{found.memory / 1e9:.2f} GB", found.memory, BARS["memory"], "1.5 GB"),
    ]
    load = os.getloadavg()[0]
    print(f"{number:,} items, {len(found.milliseconds):,} queries, {CANDIDATES} candidates; "
          f"load of the machine {load:.1f} on {os.cpu_count()} processors\n")  # fmt: skip
    print(f"{'':22}{'':>12}{'at most':>12}{'ratio':>8}")
    for name, text, value, bar, bar_text in rows:
        print(f"{name:22}{text:>12}{bar_text:>12}{value / bar:8.2f}")


def read_queries(path: Path, number: int) -> list[str]:
    """A random sample of the captions, which is always the same."""
    lines = path.read_text(encoding="utf-8").splitlines()
    texts = [text for line in lines for text in json.loads(line)["captions"]]
    return random.Random(0).sample(texts, min(number, len(texts)))


def size(folder: Path) -> int:
    """Bytes on disk, without the write-ahead log, whose size does not depend on the number of
    items."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sum(file.stat().st_blocks * 512 for file in files if "wal" not in file.parts)


def peak_memory() -> int:
    """Peak memory of this process in bytes; that of `getrusage` would include the parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


if __name__ == "__main__":
    main()
