"""How an index grows: 1,000 to 1,000,000 items in the embedded engine, beside a peer.

    python benchmarks/growth.py --photos data/flickr8k/images \\
        --captions data/flickr8k/captions.jsonl
    python benchmarks/growth.py ... --sizes 1000,10000,100000,1000000 --keep growth

Items are made from real photos as in `large.py`, with 9 regions and 8 bits per number unless other
options say so. For each size, a new process opens the index and searches real captions:

- time to build, bytes on disk, and peak memory of the searching process;
- p50 and p99 of a query: text to hits, and the first stage alone;
- overlap of the first ten hits with an exhaustive search.

In the same process, the first stage is compared on the same vectors with exact search by NumPy, and
with usearch (HNSW, float16), if it is installed: recall of the exact first 100 candidates, and p50.
usearch has its default settings first, and then the smallest beam with at least the recall of the
index, as a faster search that finds less is no comparison. An index that `--keep` has kept is not
built again.
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
from hgan.search.query import Query, encode
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
            start = time.perf_counter()
            if not (folder / "index.json").is_file():
                build(folder, options)
            built = time.perf_counter() - start
            again = [sys.executable, *sys.argv, "--search", str(folder)]
            found = json.loads(subprocess.run(again, stdout=-1, check=True).stdout)
            rows.append({"items": number, "build": built, "disk": size(folder) / number} | found)
            print(json.dumps(rows[-1]), file=sys.stderr)
    report(rows)


def measure(folder: Path, texts: Sequence[str]) -> dict[str, Any]:
    """The measurements of one index, in a process of its own."""
    with open_index(folder) as index:
        for text in texts[:WARM]:
            index.search(text)
        asked = texts[WARM:]
        whole = [_timed(lambda text=text: index.search(text)) for text in asked]
        memory = peak_memory()  # of searching alone
        store = index._store
        queries = [encode([Query(text)], index.bundle, index._stored)[0].dense for text in asked]
        first = [_timed(lambda q=q: store.search(q, CANDIDATES)) for q in queries]
        checked = asked[:CHECKED]
        same = [
            len({hit.id for hit in index.search(text)} & {hit.id for hit in index.exhaustive(text)})
            for text in checked
        ]
        found = {
            "query p50": _quantile(whole, 0.5),
            "query p99": _quantile(whole, 0.99),
            "memory": memory,
            "stage p50": _quantile(first, 0.5),
            "overlap": sum(same) / (10 * len(checked)),
        }
        ids = [entry.id for entry in store.entries()]
        vectors = np.concatenate(
            [
                np.stack([point.dense for point in store.fetch(page)]).astype(np.float16)
                for page in chunks(ids, 1000)
            ]
        )
        rows = {key: row for row, key in enumerate(ids)}
        candidates = [
            {rows[match.id] for match in store.search(q, CANDIDATES)} for q in queries[:CHECKED]
        ]
    return found | peers(vectors, queries, candidates)


def peers(
    vectors: np.ndarray, queries: Sequence[np.ndarray], ours: Sequence[set[int]]
) -> dict[str, float]:
    """The first stage by other means.

    Args:
        vectors: the vectors of the index, (N, E) float16.
        queries: dense vectors (E,).
        ours: rows that the index finds for the first queries.
    """
    plain = vectors.astype(np.float32) if len(vectors) <= 100_000 else vectors

    def exact(query: np.ndarray) -> set[int]:
        scores = plain @ query.astype(plain.dtype)
        best = np.argpartition(scores, -min(CANDIDATES, len(scores)))[-CANDIDATES:]
        return set(best.tolist())

    some = queries[: len(ours)]
    found = {"numpy p50": _quantile([_timed(lambda q=q: exact(q)) for q in some], 0.5)}
    truth = [exact(q) for q in some]

    def recall(rows: Sequence[set[int]]) -> float:
        return float(np.mean([len(a & b) / len(b) for a, b in zip(rows, truth, strict=True)]))

    found["stage recall"] = recall(ours)
    try:
        from usearch.index import Index
    except ImportError:
        return found
    peer = Index(ndim=vectors.shape[1], metric="ip", dtype="f16")
    start = time.perf_counter()
    peer.add(np.arange(len(vectors)), vectors)
    found["usearch build"] = time.perf_counter() - start

    def search(query: np.ndarray) -> set[int]:
        return set(peer.search(query.astype(np.float16), CANDIDATES).keys.tolist())

    def measured(name: str) -> float:
        found[f"{name} p50"] = _quantile([_timed(lambda q=q: search(q)) for q in queries], 0.5)
        found[f"{name} recall"] = recall([search(q) for q in some])
        return found[f"{name} recall"]

    measured("usearch")
    for peer.expansion_search in BEAMS:
        if measured("usearch, same recall") >= found["stage recall"]:
            break
    found["usearch beam"] = peer.expansion_search
    return found


def _timed(run: Callable[[], object]) -> float:
    """Milliseconds of a call."""
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


def _quantile(values: Sequence[float], share: float) -> float:
    return float(np.quantile(values, share))


FORMATS: dict[str, Callable[[float], str]] = {
    "items": lambda value: f"{value:,}",
    "build": lambda value: f"{value:.0f} s",
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
