"""Compare a Ray cluster with one process on the same cores.

    python benchmarks/cluster.py --photos PHOTOS --number 1000 --to http://localhost:6333

Indexes photos into new collections of a server, by one process and by a local Ray cluster with one
worker per core, in turn, both on the same cores. Prints photos per second, with and without the
start of the workers, which is measured with a few photos, and the overhead without it; the exit
code is 1 if this is larger than 15 %.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import ray

from benchmarks.indexing import copy_photos
from hgan.index.distributed.run import index_on_ray
from hgan.index.indexer import index_folder
from hgan.runtime.bundle import Bundle

LARGEST = 0.15
"""Largest share of the speed that a cluster may cost."""


def main() -> None:
    """Measure both engines in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--to", required=True, help="URL of a Qdrant server")
    parser.add_argument("--number", type=int, default=1000, help="number of photos")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="for both engines")
    parser.add_argument("--bundle", type=Path, help="default: the bundle of hgan")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    bundle = Bundle.load(options.bundle)
    ray.init(num_cpus=options.cores, object_store_memory=200 * 2**20, log_to_driver=False)
    seconds: dict[str, list[float]] = {"one process": [], "Ray": []}
    starting = []
    with tempfile.TemporaryDirectory() as scratch:
        few, all_of_them = Path(scratch) / "few", Path(scratch) / "photos"
        copy_photos(options.photos, few, 2 * options.cores)
        copy_photos(options.photos, all_of_them, options.number)
        for turn in range(options.rounds):
            place = f"{options.to}/benchmark_{os.getpid()}_{turn}"
            seconds["one process"].append(timed(index_folder, all_of_them, f"{place}_1", bundle))
            starting.append(timed(index_on_ray, few, f"{place}_few", bundle))
            seconds["Ray"].append(timed(index_on_ray, all_of_them, f"{place}_ray", bundle))
    start = min(starting)
    print(f"{options.number:,} photos, {options.cores} cores, best of {options.rounds}\n")
    print(f"{'one process':24}{options.number / min(seconds['one process']):8.1f} photos/s")
    print(f"{'Ray':24}{options.number / min(seconds['Ray']):8.1f} photos/s")
    print(f"{'start of the workers':24}{start:8.1f} s, included in the line above")
    rate = options.number / max(min(seconds["Ray"]) - start, 1e-9)
    single = options.number / min(seconds["one process"])
    print(f"{'Ray, after the start':24}{rate:8.1f} photos/s")
    overhead = 1 - rate / single
    print(f"overhead {overhead:.1%}, at most {LARGEST:.0%} wanted")
    sys.exit(overhead > LARGEST)


def timed(index: object, photos: Path, place: str, bundle: Bundle) -> float:
    """Seconds to index photos into a new collection."""
    begun = time.perf_counter()
    report = index(photos, place, bundle)  # type: ignore[operator]
    assert report.added == len(list(photos.iterdir())), report
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
