"""How an index grows: 1,000 to 1,000,000 items in the embedded engine, beside a peer.

    python benchmarks/growth.py --photos data/flickr8k/images \\
        --captions data/flickr8k/captions.jsonl
    python benchmarks/growth.py ... --sizes 1000,10000,100000,1000000 --keep growth

Items are made from real photos as in `large.py`, with 9 regions and 8 bits per number unless other
options say so. For each size, a new process opens the index and searches real captions:

- time to store the items and to build the graph, bytes on disk, and peak memory of the searching
  process;
- p50 and p99 of a query: text to hits; p50 of the same queries again, whose local vectors need not
  be read from disk any more; p50 of the first stage alone;
- overlap of the first ten hits with those of exact scores of all items, which are computed here
  from the stored vectors.

In the same process, the first stage is compared on the same vectors with exact search by NumPy, and
with usearch (HNSW, float16), if it is installed: recall of the exact first 100 candidates, and p50.
usearch has its default settings first, and then the smallest beam with at least the recall of the
index, as a faster search that finds less is no comparison. What `--keep` has kept is not built
again: the index, and the graph of usearch. Each result is printed as soon as it is known, as a
million items take hours.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.large import build, peak_memory, read_queries, size
from hgan.chunks import chunks
from hgan.index.store.contract import Store
from hgan.search.query import EncodedQuery, Query, encode
from hgan.search.searcher import CANDIDATES, open_index

SIZES = "1000,10000,100000"
QUERIES, CHECKED, WARM = 500, 50, 50
BEAMS = 64, 100, 150, 200, 300, 400, 600, 800, 1200, 1600
"""Of usearch (`expansion_search`)."""
BARS = {"query p50": 25.0, "query p99": 80.0, "memory": 4e9, "overlap": 0.98}
"""At 1,000,000 items: milliseconds, milliseconds, bytes, share."""


def main() -> None:
    """Build and measure each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="folder of photos")
    parser.add_argument("--captions", type=Path, required=True, help="captions as JSON Lines")
    parser.add_argument("--bundle", type=Path, help="default: the bundle of hgan")
    parser.add_argument("--sizes", default=SIZES, help="numbers of items, separated by commas")
    parser.add_argument("--encode", type=int, default=2000, help="number of real photos")
    parser.add_argument("--turn", type=float, default=0.9, help="see large.py")
    parser.add_argument("--quantize", choices=["int8"], default="int8", help="as for `hgan index`")
    parser.add_argument("--regions", type=int, default=9, help="as for `hgan index`")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="default: a temporary folder")
    parser.add_argument("--search", type=Path, metavar="INDEX", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.search:
        print(json.dumps(measure(options.search, read_queries(options.captions, QUERIES + WARM))))
        return
    rows = []
    with ExitStack() as stack:
        keep = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for number in map(int, options.sizes.split(",")):
            folder, options.number = keep / str(number), number
            times = keep / f"{number}.seconds.json"
            if not (folder / "index.json").is_file():
                times.write_text(json.dumps(build(folder, options)))
            taken = json.loads(times.read_text()) if times.is_file() else {}
            again = [sys.executable, *sys.argv, "--search", str(folder)]
            found = json.loads(subprocess.run(again, stdout=-1, check=True).stdout)
            rows.append({"items": number, **taken, "disk": size(folder) / number} | found)
    report(rows)


def measure(folder: Path, texts: Sequence[str]) -> dict[str, Any]:
    """The measurements of one index, in a process of its own."""
    found: dict[str, Any] = {}
    with open_index(folder) as index:
        for text in texts[:WARM]:
            index.search(text)
        asked = texts[WARM:]
        whole = [_timed(lambda text=text: index.search(text)) for text in asked]
        memory = peak_memory()  # of searching alone
        again = [_timed(lambda text=text: index.search(text)) for text in asked]
        store = index._store
        queries = [encode([Query(text)], index.bundle, index._stored)[0] for text in asked]
        first = [_timed(lambda q=q: store.search(q.dense, CANDIDATES)) for q in queries]
        _note(
            found,
            {
                "query p50": _quantile(whole, 0.5),
                "query p99": _quantile(whole, 0.99),
                "query again p50": _quantile(again, 0.5),
                "memory": memory,
                "stage p50": _quantile(first, 0.5),
            },
        )
        some = queries[:CHECKED]
        hits = [{hit.id for hit in index.search(text)} for text in asked[:CHECKED]]
        ids, vectors, best = exhaustive(store, some, index.bundle.weights["local"])
        same = [len(a & b) for a, b in zip(hits, best, strict=True)]
        _note(found, {"overlap": sum(same) / sum(map(len, best))})
        rows = {key: row for row, key in enumerate(ids)}
        candidates = [{rows[m.id] for m in store.search(q.dense, CANDIDATES)} for q in some]
    kept = folder.parent / f"{folder.name}.usearch"
    return peers(vectors, [query.dense for query in queries], candidates, found, kept)


def exhaustive(
    store: Store, queries: Sequence[EncodedQuery], weight: float, k: int = 10
) -> tuple[list[str], np.ndarray, list[set[str]]]:
    """Exact scores of all items, from their stored vectors.

    Args:
        store: an index.
        queries: texts.
        weight: that of the local level in S.
        k: number of hits.

    Returns:
        The ids of all items, their dense vectors (N, E) float32, and the ids of the first k items
        by S for each query.
    """
    ids = [entry.id for entry in store.entries()]
    dense = np.stack([query.dense for query in queries])
    words = np.concatenate([query.positive for query in queries])
    begins = np.cumsum([0, *(len(query.positive) for query in queries)])[:-1]
    vectors = np.empty((len(ids), dense.shape[1]), np.float32)
    scores = np.empty((len(queries), len(ids)), np.float32)
    for start in range(0, len(ids), 1000):
        rows = slice(start, min(start + 1000, len(ids)))
        points = store.fetch(ids[rows], local=True)
        vectors[rows] = [point.dense for point in points]
        scores[:, rows] = dense @ vectors[rows].T
        # MaxSim: the best region for each word, summed over the words of a query.
        regions = np.cumsum([0, *(len(point.local) for point in points)])[:-1]
        cosines = np.concatenate([point.local for point in points]).astype(np.float32) @ words.T
        most = np.maximum.reduceat(cosines, regions)
        scores[:, rows] += weight * np.add.reduceat(most, begins, axis=1).T
    best = np.argpartition(scores, -min(k, len(ids)), axis=1)[:, -k:]
    return ids, vectors, [{ids[row] for row in one} for one in best]


def peers(
    vectors: np.ndarray,
    queries: Sequence[np.ndarray],
    ours: Sequence[set[int]],
    found: dict[str, Any],
    kept: Path,
) -> dict[str, Any]:
    """The first stage by other means, added to what was found.

    Args:
        vectors: the vectors of the index, (N, E) float32.
        queries: dense vectors (E,).
        ours: rows that the index finds for the first queries.
        found: what was measured so far.
        kept: the file of the peer's graph.
    """
    some = queries[: len(ours)]
    truth: list[set[int]] = []

    def exact(query: np.ndarray) -> None:
        scores = vectors @ query
        best = np.argpartition(scores, -min(CANDIDATES, len(scores)))[-CANDIDATES:]
        truth.append(set(best.tolist()))

    times = [_timed(lambda q=q: exact(q)) for q in some]

    def recall(rows: Sequence[set[int]]) -> float:
        return float(np.mean([len(a & b) / len(b) for a, b in zip(rows, truth, strict=True)]))

    _note(found, {"numpy p50": _quantile(times, 0.5), "stage recall": recall(ours)})
    try:
        from usearch.index import Index
    except ImportError:
        return found
    peer = Index(ndim=vectors.shape[1], metric="ip", dtype="f16")
    if kept.is_file():
        peer.load(str(kept))
    else:
        start = time.perf_counter()
        for rows in chunks(range(len(vectors)), 10_000):
            peer.add(np.arange(rows[0], rows[-1] + 1), vectors[rows[0] : rows[-1] + 1])
        _note(found, {"usearch build": time.perf_counter() - start})
        peer.save(str(kept))

    def search(query: np.ndarray) -> set[int]:
        return set(peer.search(query.astype(np.float16), CANDIDATES).keys.tolist())

    def measured(name: str) -> dict[str, float]:
        p50 = _quantile([_timed(lambda q=q: search(q)) for q in queries], 0.5)
        return {f"{name} p50": p50, f"{name} recall": recall([search(q) for q in some])}

    _note(found, measured("usearch"))
    for peer.expansion_search in BEAMS:
        beam = measured("usearch, same recall")
        if beam["usearch, same recall recall"] >= found["stage recall"]:
            break
    _note(found, {**beam, "usearch beam": peer.expansion_search})
    return found


def _note(found: dict[str, Any], more: dict[str, Any]) -> None:
    """Add results, and print them for whoever waits."""
    found |= more
    print(json.dumps(more), file=sys.stderr, flush=True)


def _timed(run: Callable[[], object]) -> float:
    """Milliseconds of a call."""
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


def _quantile(values: Sequence[float], share: float) -> float:
    return float(np.quantile(values, share))


FORMATS: dict[str, Callable[[float], str]] = {
    "items": lambda value: f"{value:,}",
    "store": lambda value: f"{value:.0f} s",
    "graph": lambda value: f"{value:.0f} s",
    "disk": lambda value: f"{value:,.0f} B",
    "memory": lambda value: f"{value / 1e9:.2f} GB",
    "overlap": lambda value: f"{value:.1%}",
    "stage recall": lambda value: f"{value:.1%}",
    "usearch recall": lambda value: f"{value:.1%}",
    "usearch, same recall recall": lambda value: f"{value:.1%}",
    "usearch beam": lambda value: f"{value:.0f}",
    "usearch build": lambda value: f"{value:.0f} s",
}


def report(rows: Sequence[dict[str, Any]]) -> None:
    """A column for each size."""
    table = Table("", *(FORMATS["items"](row["items"]) for row in rows))
    for name in dict.fromkeys(name for row in rows for name in row if name != "items"):
        show = FORMATS.get(name, lambda value: f"{value:.2f} ms")
        table.add_row(name, *(show(row[name]) if name in row else "" for row in rows))
    Console().print(table)
    if rows[-1]["items"] == 1_000_000:
        print(f"bars at 1,000,000: {BARS}")


if __name__ == "__main__":
    main()
