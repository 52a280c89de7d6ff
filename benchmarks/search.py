"""Measure the latency of searches, and how well two stages approximate an exhaustive search.

    hgan index PHOTOS --to INDEX
    python benchmarks/search.py --index INDEX --queries captions.jsonl --plot docs/candidates.png

Prints the time to open the index, with and without the check of the number of its items; the
latency of text queries in this process, including encoding; the share of the exhaustive
top ten that the two stages find, for several numbers of candidates; and how often the caption's own
photo is in the top ten of both searches. The plot shows the same.
"""

import argparse
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hgan.index.store.open import open_store, read_manifest
from hgan.progress import progress
from hgan.search.finder import Hit
from hgan.search.searcher import CANDIDATES, Index, open_index

TOP = 10
CURVE = (10, 20, 50, 100, 200, 400, 800)
OVERLAP_BAR, RECALL_BAR = 0.99, 0.002
OPENED = 30
"""Number of times that the index is opened with and without the check, in turn."""
OPEN_BAR = 1.02
"""Target: maximum ratio of the time with the check to that without it."""


@dataclass(frozen=True)
class Query:
    """A caption and the photo that it describes."""

    text: str
    photo: str


@dataclass
class Found:
    """Results of one search method for all queries so far."""

    shared: int = 0
    """Number of photos found that are in the exhaustive top ten."""
    own: int = 0
    """Number of queries whose own photo is in the top ten."""
    seconds: list[float] = field(default_factory=list)
    """Time of each query."""


def main() -> None:
    """Run all measurements on one index."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", type=Path, required=True, help="folder of the index")
    parser.add_argument("--queries", type=Path, required=True, help="captions as JSON Lines")
    parser.add_argument("--bundle", type=Path, help="default: the bundle of the index")
    parser.add_argument("--number", type=int, default=5000, help="number of queries")
    parser.add_argument("--split", help="only use queries of this split, such as test")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="plot overlap against candidates")
    options = parser.parse_args()
    print_opening(options.index)
    with open_index(options.index, options.bundle) as index:
        queries = read_queries(options.queries, options.number, options.split, index)
        print(f"{len(index):,} photos, {len(queries):,} queries, top {TOP}\n")
        print_latency(index, [query.text for query in queries])
        exhaustive, curve = compare(index, queries)
    print_curve(exhaustive, curve, len(queries))
    if options.plot:
        plot(options.plot, exhaustive, curve, len(queries))


def print_opening(path: Path) -> None:
    """Print the time to open and close the store of an index, with and without the check of the
    number of items: the median of each, and of the ratios of pairs.
    """
    manifest = read_manifest(path)
    if manifest.points is None:
        raise SystemExit(f"{path}: has no number of items to check; run `hgan index` again")
    pairs = []
    for turn in range(OPENED + 1):
        seconds = {}
        for check in (True, False) if turn % 2 else (False, True):
            start = time.perf_counter()
            with open_store(path, manifest, check):
                pass
            seconds[check] = time.perf_counter() - start
        pairs.append((seconds[True], seconds[False]))
    measured = np.array(pairs[1:])  # (n, 2); the first one reads the files from the disk
    low, middle, high = np.quantile(measured[:, 0] / measured[:, 1], [0.25, 0.5, 0.75])
    checked, unchecked = np.median(measured, axis=0) * 1e3
    print(f"opened in {checked:.1f} ms with the check, in {unchecked:.1f} ms without it")
    print(
        f"ratio of {OPENED} pairs: median {middle:.3f}, quartiles {low:.3f} and {high:.3f}; "
        f"at most {OPEN_BAR:g}: {middle <= OPEN_BAR}\n"
    )


def print_latency(index: Index, queries: list[str]) -> None:
    """Print median and 95th percentile of the time of a search, and of encoding."""
    ways: dict[str, Callable[[str], object]] = {
        "only encoding the text": lambda text: index.bundle.encode_texts([text]),
        f"search, {CANDIDATES} candidates": lambda text: index.search(text, TOP),
        "exhaustive": lambda text: index.exhaustive(text, TOP),
    }
    medians = {}
    print(f"{'':28}{'p50':>10}{'p95':>10}")
    for name, way in ways.items():
        for text in queries[:5]:
            way(text)
        sample = queries[:1000] if name != "exhaustive" else queries[:100]
        seconds = [_timed(way, text)[0] for text in sample]
        medians[name] = float(np.median(seconds))
        high = np.quantile(seconds, 0.95)
        print(f"{name:28}{medians[name] * 1e3:7.2f} ms{high * 1e3:7.2f} ms")
    _, search, exhaustive = medians.values()
    print(f"two stages are {exhaustive / search:.1f} times as fast as the exhaustive search\n")


def compare(index: Index, queries: list[Query]) -> tuple[Found, dict[int, Found]]:
    """Results of the exhaustive search, and of two stages by number of candidates."""
    exhaustive = Found()
    curve = {candidates: Found() for candidates in CURVE}
    with progress("compare", total=len(queries), unit="queries") as bar:
        for query in queries:
            # With all photos as candidates, the second stage is exhaustive.
            exact = _note(exhaustive, query, lambda text: index.exhaustive(text, TOP))
            exhaustive.shared += len(exact)
            for candidates, found in curve.items():
                way = lambda text, n=candidates: index.search(text, TOP, candidates=n)  # noqa: E731
                found.shared += len(_note(found, query, way) & exact)
            bar.advance()
    return exhaustive, curve


def _note(found: Found, query: Query, way: Callable[[str], list[Hit]]) -> set[str]:
    seconds, hits = _timed(way, query.text)
    found.seconds.append(seconds)
    found.own += any(hit.path.name == query.photo for hit in hits)
    return {hit.id for hit in hits}


def print_curve(exhaustive: Found, curve: dict[int, Found], queries: int) -> None:
    """Print the table, and compare the default number of candidates with the targets."""
    print(f"{'candidates':>10}{'overlap':>10}{f'R@{TOP}':>10}{'difference':>12}{'p50':>10}")
    for candidates, found in curve.items():
        default = "  (default)" if candidates == CANDIDATES else ""
        print(
            f"{candidates:10}{found.shared / exhaustive.shared:10.2%}{found.own / queries:10.2%}"
            f"{(found.own - exhaustive.own) / queries * 100:+9.2f} pt"
            f"{np.median(found.seconds) * 1e3:7.2f} ms{default}"
        )
    print(
        f"{'exhaustive':>10}{'':10}{exhaustive.own / queries:10.2%}{'':12}"
        f"{np.median(exhaustive.seconds) * 1e3:7.2f} ms\n"
    )
    default = curve[CANDIDATES]
    overlap = default.shared / exhaustive.shared
    difference = abs(default.own - exhaustive.own) / queries
    print(f"overlap    {overlap:8.2%}     at least {OVERLAP_BAR:.0%}: {overlap >= OVERLAP_BAR}")
    print(
        f"difference {difference * 100:5.2f} pt     at most {RECALL_BAR * 100:.1f} pt: "
        f"{difference <= RECALL_BAR}"
    )


def plot(file: Path, exhaustive: Found, curve: dict[int, Found], queries: int) -> None:
    """Plot overlap and recall against the number of candidates."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    overlap = [100 * found.shared / exhaustive.shared for found in curve.values()]
    recall = [100 * found.own / max(exhaustive.own, 1) for found in curve.values()]
    axes.plot(list(curve), overlap, "o-", label=f"exhaustive top {TOP}")
    axes.plot(list(curve), recall, "s--", label=f"exhaustive R@{TOP}")
    axes.axvline(CANDIDATES, color="grey", linewidth=1, linestyle=":")
    axes.annotate(" default", (CANDIDATES, 0.02), xycoords=("data", "axes fraction"), color="grey")
    axes.set_xscale("log")
    axes.set_xticks(list(curve), [str(candidates) for candidates in curve])
    axes.minorticks_off()
    axes.set_xlabel("candidates of the first stage")
    axes.set_ylabel("found by two stages, %")
    axes.set_title(f"{queries:,} captions")
    axes.grid(alpha=0.3)
    axes.legend(loc="center right")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150)
    pyplot.close(figure)


def read_queries(path: Path, number: int, split: str | None, index: Index) -> list[Query]:
    """A random sample of the captions of existing photos, which is always the same."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [
        Query(text, Path(record["image"]).name)
        for record in records
        if split in (None, record.get("split")) and (index.root / record["image"]).exists()
        for text in record["captions"]
    ]
    if not pairs:
        raise SystemExit(f"{path}: no captions of photos in {index.root}")
    return random.Random(0).sample(pairs, min(number, len(pairs)))


def _timed(way: Callable[[str], list[Hit]], text: str) -> tuple[float, list[Hit]]:
    start = time.perf_counter()
    hits = way(text)
    return time.perf_counter() - start, hits


if __name__ == "__main__":
    main()
