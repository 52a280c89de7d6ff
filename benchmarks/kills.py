"""Check that no indexed photo is lost if indexing is killed with `kill -9` at random moments.

    python benchmarks/kills.py --photos data/flickr8k/images

Indexes photos in a separate process and kills it 50 times, at a random moment after a random number
of photos; some kills are while the process opens the index, or optimizes it at the end. A photo is
acknowledged when the store's `upsert` has returned; the process writes this to a log file. After
each kill, it must be possible to open the index, and it must contain all acknowledged photos with
complete vectors; then the next run continues. At the end, it must contain all photos of the folder.
The exit code is 1 if anything was lost.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hgan.errors import IndexingError
from hgan.index.indexer import index_folder
from hgan.index.store.contract import Point
from hgan.index.store.edge import EdgeStore
from hgan.index.store.open import open_store, read_manifest
from hgan.progress import progress
from hgan.runtime.formats import PHOTO

OPENING, OPTIMIZING = 0.1, 0.1
"""Shares of the kills while the index is opened, and while it is optimized."""
CHECKED = 50
"""Number of random acknowledged photos whose vectors are checked after each kill."""
STARTED, OPTIMIZE = "started", "optimizing"
"""Lines of the log that are not ids."""


def main() -> None:
    """Run the benchmark; exit with 1 if photos were lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--number", type=int, default=2000, help="number of photos")
    parser.add_argument("--kills", type=int, default=50, help="number of kills")
    parser.add_argument("--bundle", type=Path, help="default: the bundle of hgan")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random moments")
    parser.add_argument("--child", nargs=3, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        index_with_log(*options.child, options.bundle)
        return
    with tempfile.TemporaryDirectory() as scratch:
        photos = copy_photos(options.photos, Path(scratch) / "photos", options.number)
        lost = kill_repeatedly(photos, Path(scratch), options)
    sys.exit(lost > 0)


def index_with_log(photos: Path, index: Path, log: Path, bundle: Path | None) -> None:
    """Index photos, and log each photo that the store has acknowledged."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    upsert, optimize = EdgeStore.upsert, EdgeStore.optimize

    def write(lines: Sequence[str]) -> None:
        os.write(file, "".join(f"{line}\n" for line in lines).encode())

    def logged_upsert(store: EdgeStore, points: Sequence[Point]) -> None:
        upsert(store, points)
        write([point.entry.id for point in points])

    def logged_optimize(store: EdgeStore) -> None:
        write([OPTIMIZE])
        optimize(store)

    EdgeStore.upsert = logged_upsert  # type: ignore[method-assign]
    EdgeStore.optimize = logged_optimize  # type: ignore[method-assign]
    write([STARTED])
    index_folder(photos, index, bundle)


def kill_repeatedly(photos: Path, scratch: Path, options: argparse.Namespace) -> int:
    """Kill the process and check the index, many times; return the number of lost photos."""
    rng = random.Random(options.seed)
    index, log = scratch / "index", scratch / "log"
    optimizing = round(OPTIMIZING * options.kills)
    moments = ["optimizing"] * optimizing
    moments = ["anywhere"] * (options.kills - optimizing) + moments
    for place in rng.sample(range(options.kills - optimizing), round(OPENING * options.kills)):
        moments[place] = "opening"
    # Maximum number of photos per run; half of it on average, so that some remain for the last.
    each = 1.6 * options.number / max(1, moments.count("anywhere"))
    lost = unopened = late = 0
    with progress("kill", total=len(moments), unit="kills") as bar:
        for moment in moments:
            late += not kill_at(moment, photos, index, log, each, rng, options.bundle)
            acknowledged = ids_in(log)
            try:
                missing = count_lost(index, acknowledged, rng)
            except IndexingError as error:
                unopened += 1
                print(f"cannot be opened: {error}")
                missing = len(acknowledged)
            lost += missing
            bar.advance()
            bar.note(f"{len(acknowledged)} acknowledged, {lost} lost")
    acknowledged = ids_in(log)
    report = index_folder(photos, index, options.bundle)
    with open_store(index, read_manifest(index)) as store:
        total = store.count()
    lost += options.number - total
    print(f"{len(moments)} kills, {options.number:,} photos\n")
    print(f"{'kills while opening the index':36}{moments.count('opening'):8}")
    print(f"{'kills while optimizing the index':36}{moments.count('optimizing'):8}")
    print(f"{'kills at any moment':36}{moments.count('anywhere'):8}")
    print(f"{'kills after the process had ended':36}{late:8}")
    print(f"{'index could not be opened':36}{unopened:8}")
    print(f"{'acknowledged before the last run':36}{len(acknowledged):8}")
    print(f"{'added by the last run':36}{report.added:8}")
    print(f"{'in the index at the end':36}{total:8}  of {options.number}")
    print(f"{'lost':36}{lost:8}  ({lost / options.number:.2%})")
    return lost + unopened


def kill_at(
    moment: str,
    photos: Path,
    index: Path,
    log: Path,
    each: float,
    rng: random.Random,
    bundle: Path | None,
) -> bool:
    """Run the child process and kill it; False if it had already ended."""
    known = len(ids_in(log))
    opened = count(log, STARTED), count(log, OPTIMIZE)
    photos_more = rng.uniform(0, each) if moment == "anywhere" else 0.0
    command = [sys.executable, __file__, "--photos", photos, "--child", photos, index, log]
    if bundle:
        command += ["--bundle", bundle]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL) as process:
        begun = time.monotonic()
        while process.poll() is None:
            if moment == "optimizing":
                reached = count(log, OPTIMIZE) > opened[1]
            else:
                reached = count(log, STARTED) > opened[0]
                reached = reached and len(ids_in(log)) - known >= photos_more
            if reached:
                break
            time.sleep(0.002)
        # A random moment in the next batch, in opening, or in optimizing.
        batch = (time.monotonic() - begun) / 8 if moment == "anywhere" else 0.5
        time.sleep(rng.uniform(0, min(batch, 0.5) if moment != "optimizing" else 0.05))
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


def count_lost(index: Path, acknowledged: list[str], rng: random.Random) -> int:
    """Number of acknowledged photos that are missing or incomplete in the index.

    Raises:
        IndexingError: the index cannot be opened.
    """
    if not acknowledged and not (index / "index.json").exists():
        return 0  # killed before there was an index
    manifest = read_manifest(index)
    with open_store(index, manifest) as store:
        stored = {entry.id for entry in store.entries()}
        sample = rng.sample(acknowledged, min(CHECKED, len(acknowledged))) + acknowledged[-8:]
        points = {point.entry.id: point for point in store.fetch(sample, local=True)}
    local = manifest.local
    broken = {key for key in sample if key in stored and not is_complete(points.get(key), local)}
    return len(set(acknowledged) - stored) + len(broken)


def is_complete(point: Point | None, local: int) -> bool:
    """Whether a point has all its vectors, with the unit length that the model gives them."""
    if point is None or not np.isfinite(point.dense).all() or not point.dense.any():
        return False
    lengths = np.linalg.norm(point.local, axis=1)
    return not local or (len(lengths) > 0 and bool(np.allclose(lengths, 1, atol=0.05)))


def ids_in(log: Path) -> list[str]:
    """Ids of the acknowledged photos in the log, without an incomplete last line."""
    if not log.exists():
        return []
    lines = log.read_text().split("\n")[:-1]
    return list(dict.fromkeys(line for line in lines if line not in (STARTED, OPTIMIZE)))


def count(log: Path, line: str) -> int:
    """How often a line is in the log."""
    return log.read_text().split("\n").count(line) if log.exists() else 0


def copy_photos(source: Path, folder: Path, number: int) -> Path:
    """Copy the first photos of a folder to another folder."""
    folder.mkdir()
    found = sorted(p for p in source.rglob("*") if p.suffix.lower() in PHOTO.suffixes)
    if len(found) < number:
        sys.exit(f"{source}: {len(found)} photos, but {number} are needed; use a smaller --number")
    for i, path in enumerate(found[:number]):
        shutil.copy(path, folder / f"{i:06}{path.suffix}")
    return folder


if __name__ == "__main__":
    main()
