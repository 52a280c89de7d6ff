"""Does an index survive `kill -9` at any moment of its making?

    python benchmarks/kills.py --photos data/flickr8k/images

Indexes photos in a process of its own and kills it, 50 times: after a random number of photos, at
a random moment of what it does then; some of the times while it opens the index, or arranges it at
the end. A photo counts as acknowledged once the store's `upsert` has returned, which the process
notes in a file before it goes on. After each kill the index must open and hold every photo that was
ever acknowledged, whole; the next run goes on. At the end it must hold all photos of the folder.
Exits with 1 where anything was lost.
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
from hgan.runtime.images import PHOTO_SUFFIXES

OPENING, ARRANGING = 0.1, 0.1
"""Shares of the kills that fall into the opening and into the arranging."""
CHECKED = 50
"""Acknowledged photos whose vectors are read after each kill, the last ones among them."""
STARTED, ARRANGED = "started", "arranging"
"""Lines of the notes that are no ids."""


def main() -> None:
    """Kill, look, go on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="a folder")
    parser.add_argument("--number", type=int, default=2000, help="of photos")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--bundle", type=Path, help="default: the one that ships")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--victim", nargs=3, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.victim:
        victim(*options.victim, options.bundle)
        return
    with tempfile.TemporaryDirectory() as scratch:
        photos = copy_photos(options.photos, Path(scratch) / "photos", options.number)
        lost = survive(photos, Path(scratch), options)
    sys.exit(lost > 0)


def victim(photos: Path, index: Path, notes: Path, bundle: Path | None) -> None:
    """Index, and note every photo that the store has acknowledged."""
    file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    upsert, optimize = EdgeStore.upsert, EdgeStore.optimize

    def note(lines: Sequence[str]) -> None:
        os.write(file, "".join(f"{line}\n" for line in lines).encode())

    def noted(store: EdgeStore, points: Sequence[Point]) -> None:
        upsert(store, points)
        note([point.entry.id for point in points])

    def arranged(store: EdgeStore) -> None:
        note([ARRANGED])
        optimize(store)

    EdgeStore.upsert, EdgeStore.optimize = noted, arranged  # type: ignore[method-assign]
    note([STARTED])
    index_folder(photos, index, bundle)


def survive(photos: Path, scratch: Path, options: argparse.Namespace) -> int:
    """Kill and look again and again; returns how many photos were lost."""
    rng = random.Random(options.seed)
    index, notes = scratch / "index", scratch / "notes"
    arranging = round(ARRANGING * options.kills)
    moments = ["arranging"] * arranging
    moments = ["anywhere"] * (options.kills - arranging) + moments
    for place in rng.sample(range(options.kills - arranging), round(OPENING * options.kills)):
        moments[place] = "opening"
    # Photos of one run at most: half of it on average, so that some are left for the last kill.
    each = 1.6 * options.number / max(1, moments.count("anywhere"))
    lost = unopened = late = 0
    with progress("kill", total=len(moments), unit="kills") as bar:
        for moment in moments:
            late += not kill_at(moment, photos, index, notes, each, rng, options.bundle)
            acknowledged = ids_in(notes)
            try:
                missing = look(index, acknowledged, rng)
            except IndexingError as error:
                unopened += 1
                print(f"does not open: {error}")
                missing = len(acknowledged)
            lost += missing
            bar.advance()
            bar.note(f"{len(acknowledged)} acknowledged, {lost} lost")
    acknowledged = ids_in(notes)
    report = index_folder(photos, index, options.bundle)
    with open_store(index, read_manifest(index)) as store:
        total = store.count()
    lost += options.number - total
    print(f"{len(moments)} kills, {options.number:,} photos\n")
    print(f"{'kills while it opened the index':36}{moments.count('opening'):8}")
    print(f"{'kills while it arranged the index':36}{moments.count('arranging'):8}")
    print(f"{'kills anywhere':36}{moments.count('anywhere'):8}")
    print(f"{'of all these, came when it was done':36}{late:8}")
    print(f"{'after which it did not open':36}{unopened:8}")
    print(f"{'acknowledged before the last run':36}{len(acknowledged):8}")
    print(f"{'added by the last run':36}{report.added:8}")
    print(f"{'in the index at the end':36}{total:8}  of {options.number}")
    print(f"{'lost':36}{lost:8}  ({lost / options.number:.2%})")
    return lost + unopened


def kill_at(
    moment: str,
    photos: Path,
    index: Path,
    notes: Path,
    each: float,
    rng: random.Random,
    bundle: Path | None,
) -> bool:
    """Run the victim and kill it; False where it was done before."""
    known = len(ids_in(notes))
    opened = count(notes, STARTED), count(notes, ARRANGED)
    photos_more = rng.uniform(0, each) if moment == "anywhere" else 0.0
    command = [sys.executable, __file__, "--photos", photos, "--victim", photos, index, notes]
    if bundle:
        command += ["--bundle", bundle]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL) as process:
        begun = time.monotonic()
        while process.poll() is None:
            if moment == "arranging":
                ripe = count(notes, ARRANGED) > opened[1]
            else:
                ripe = count(notes, STARTED) > opened[0]
                ripe = ripe and len(ids_in(notes)) - known >= photos_more
            if ripe:
                break
            time.sleep(0.002)
        # Anywhere in the batch that comes next, or in the opening, or in the arranging.
        batch = (time.monotonic() - begun) / 8 if moment == "anywhere" else 0.5
        time.sleep(rng.uniform(0, min(batch, 0.5) if moment != "arranging" else 0.05))
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


def look(index: Path, acknowledged: list[str], rng: random.Random) -> int:
    """How many acknowledged photos are not there, or not whole.

    Raises:
        IndexingError: the index does not open.
    """
    if not acknowledged and not (index / "index.json").exists():
        return 0  # killed before there was an index
    manifest = read_manifest(index)
    with open_store(index, manifest) as store:
        there = {entry.id for entry in store.entries()}
        some = rng.sample(acknowledged, min(CHECKED, len(acknowledged))) + acknowledged[-8:]
        points = {point.entry.id: point for point in store.fetch(some, local=True)}
    broken = [key for key in some if key in there and not whole(points.get(key), manifest.local)]
    return len(set(acknowledged) - there) + len(set(broken))


def whole(point: Point | None, local: int) -> bool:
    """Whether a point has its vectors: of unit length, as the model makes them."""
    if point is None or not np.isfinite(point.dense).all() or not point.dense.any():
        return False
    lengths = np.linalg.norm(point.local, axis=1)
    return not local or (len(lengths) > 0 and bool(np.allclose(lengths, 1, atol=0.05)))


def ids_in(notes: Path) -> list[str]:
    """The photos that were acknowledged; the line that a kill cut short is none."""
    if not notes.exists():
        return []
    lines = notes.read_text().split("\n")[:-1]
    return list(dict.fromkeys(line for line in lines if line not in (STARTED, ARRANGED)))


def count(notes: Path, mark: str) -> int:
    """How often a mark was noted."""
    return notes.read_text().split("\n").count(mark) if notes.exists() else 0


def copy_photos(source: Path, folder: Path, number: int) -> Path:
    """The first photos of a folder into another."""
    folder.mkdir()
    found = sorted(p for p in source.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
    if len(found) < number:
        sys.exit(f"{source}: {len(found)} photos, {number} are needed; give a smaller --number")
    for i, path in enumerate(found[:number]):
        shutil.copy(path, folder / f"{i:06}{path.suffix}")
    return folder


if __name__ == "__main__":
    main()
