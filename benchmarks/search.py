"""How fast is a search, and does the short way find what the long way finds?

    hgan index PHOTOS --to INDEX
    python benchmarks/search.py --index INDEX --queries captions.jsonl

Prints the latency of text queries in process, encoding included, and how much of the exhaustive
exact ranking's top ten the two stages find, for several numbers of candidates.
"""

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hgan.progress import progress
from hgan.search.searcher import CANDIDATES, Index, open_index

TOP = 10
CURVE = (10, 20, 50, 100, 200, 400, 800)


def main() -> None:
    """Run both measurements on one index."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--queries", type=Path, required=True, help="a captions.jsonl")
    parser.add_argument("--bundle", type=Path, help="default: the one that made the index")
    parser.add_argument("--number", type=int, default=1000, help="of queries")
    options = parser.parse_args()
    queries = read_queries(options.queries, options.number)
    with open_index(options.index, options.bundle) as index:
        print(f"{len(index):,} photos, {len(queries):,} queries, top {TOP}\n")
        print_latency(index, queries)
        print_overlap(index, queries)


def read_queries(path: Path, number: int) -> list[str]:
    """A random sample of the captions, the same every time."""
    lines = path.read_text(encoding="utf-8").splitlines()
    captions = [caption for line in lines for caption in json.loads(line)["captions"]]
    return random.Random(0).sample(captions, min(number, len(captions)))


def print_latency(index: Index, queries: list[str]) -> None:
    """Median and 95th percentile of each way, one query after another."""
    ways: dict[str, Callable[[str], object]] = {
        "encode the text alone": lambda text: index.bundle.encode_texts([text]),
        f"search, {CANDIDATES} candidates": lambda text: index.search(text, TOP),
        "exhaustive": lambda text: index.exhaustive(text, TOP),
    }
    medians = {}
    print(f"{'':28}{'p50':>10}{'p95':>10}")
    for name, way in ways.items():
        for text in queries[:5]:
            way(text)
        sample = queries if name != "exhaustive" else queries[:100]
        seconds = [_timed(way, text) for text in sample]
        medians[name] = float(np.median(seconds))
        high = np.quantile(seconds, 0.95)
        print(f"{name:28}{medians[name] * 1e3:7.2f} ms{high * 1e3:7.2f} ms")
    _, search, exhaustive = medians.values()
    print(f"two stages are {exhaustive / search:.1f} times as fast as the exhaustive search\n")


def print_overlap(index: Index, queries: list[str]) -> None:
    """The share of the exhaustive top ten that is found, by number of candidates."""
    shared = dict.fromkeys(CURVE, 0)
    wanted = 0
    with progress("overlap", total=len(queries), unit="queries") as bar:
        for text in queries:
            exact = {hit.path for hit in index.exhaustive(text, TOP)}
            wanted += len(exact)
            for candidates in CURVE:
                found = {hit.path for hit in index.search(text, TOP, candidates)}
                shared[candidates] += len(found & exact)
            bar.advance()
    print(f"{'candidates':>10}{'overlap':>10}")
    for candidates, hits in shared.items():
        default = "  (default)" if candidates == CANDIDATES else ""
        print(f"{candidates:10}{hits / wanted:10.2%}{default}")


def _timed(way: Callable[[str], object], text: str) -> float:
    start = time.perf_counter()
    way(text)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
