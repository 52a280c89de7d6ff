"""Measure what HTTP adds to one search at a time, on a connection that is kept alive.

    python benchmarks/http_latency.py
    python benchmarks/http_latency.py --number 50 --requests 20

Starts `hgan serve` in a separate process, and sends one request after another over one connection
of the loopback interface: `/health`, then real captions as queries. Before and after this, the same
queries are run in this process with `hgan.open_index`, and the faster of the two medians is
compared. Responses are parsed, as clients do.

Without --index, photos of Flickr8k in $HGAN_DATA are first indexed into a temporary folder.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import numpy as np

from hgan.search.searcher import open_index
from service import TOP, make_index, read_queries, serving

HEALTH_MS = 2.0
"""Target: the median of /health in milliseconds."""
RATIO, EXTRA_MS = 1.3, 2.0
"""Target: a search over HTTP takes at most RATIO times that in process, plus EXTRA_MS."""
WARM_UP = 5
"""Requests before those that are measured."""


def main() -> None:
    """Measure and print the medians, with their targets; exit status 1 if one is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("HGAN_DATA", "data")) / "flickr8k"
    parser.add_argument("--photos", type=Path, default=data / "images", help="folder of photos")
    parser.add_argument("--number", type=int, help="number of photos to index; default: all")
    parser.add_argument("--index", type=Path, help="an existing index, instead of --photos")
    parser.add_argument("--queries", type=Path, default=data / "captions.jsonl", help="captions")
    parser.add_argument("--requests", type=int, default=300, help="number of requests of each kind")
    options = parser.parse_args()
    queries = read_queries(options.queries)[: options.requests]
    with tempfile.TemporaryDirectory() as scratch:
        index = options.index or make_index(options.photos, options.number, Path(scratch))
        before = in_process(index, queries)
        with serving(index) as (_, url), httpx.Client(base_url=url) as client:
            health = median(lambda _: client.get("/health").raise_for_status().json(), queries)
            served = median(lambda text: search(client, text), queries)
        direct = min(before, in_process(index, queries))
    sys.exit(0 if report(health, served, direct) else 1)


def in_process(index: Path, queries: Sequence[str]) -> float:
    """The median of a search in this process, in milliseconds."""
    with open_index(index) as opened:
        return median(lambda text: opened.search(text, TOP), queries)


def search(client: httpx.Client, text: str) -> object:
    """The parsed response to a query."""
    answer = client.post("/v1/search", json={"text": text, "k": TOP}).raise_for_status()
    return answer.json()["hits"]


def median(ask: Callable[[str], object], queries: Sequence[str]) -> float:
    """The median time of one call at a time, in milliseconds."""
    for text in queries[:WARM_UP]:
        ask(text)
    seconds = []
    for text in queries:
        start = time.perf_counter()
        ask(text)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds) * 1e3)


def report(health: float, served: float, direct: float) -> bool:
    """Print the medians, and return whether all targets are met."""
    most = RATIO * direct + EXTRA_MS
    met = health <= HEALTH_MS, served <= most
    print(f"{'/health':24}{health:8.2f} ms  ({_bar(met[0])}: <= {HEALTH_MS:g} ms)")
    print(f"{'search in process':24}{direct:8.2f} ms")
    print(
        f"{'search over HTTP':24}{served:8.2f} ms  "
        f"({_bar(met[1])}: <= {RATIO:g} x in process + {EXTRA_MS:g} ms = {most:.2f} ms)"
    )
    return all(met)


def _bar(met: bool) -> str:
    return "met" if met else "MISSED"


if __name__ == "__main__":
    main()
