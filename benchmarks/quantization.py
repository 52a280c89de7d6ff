"""What do `--quantize int8` and `--regions 9` save, and what do they cost in photos found?

    python benchmarks/quantization.py --photos data/flickr8k/images \
        --captions data/flickr8k/captions.jsonl

Encodes the photos of the test split once, stores them in each way, and prints: bytes a photo on
disk, and what part that is of float16; how often a caption's own photo is the first, among the
first five and ten, with the difference from float16; and the share of the exact ranking's top ten
that is found. All are made with a graph, however few the photos: 8-bit integers come into play
together with it.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hgan.index.points import entry_of, points_of
from hgan.index.store import edge
from hgan.index.store.contract import Entry, Point, Store
from hgan.index.store.edge import EdgeStore
from hgan.index.store.manifest import IndexManifest, Quantize
from hgan.progress import progress
from hgan.runtime.bundle import IMAGE_BATCH, TEXT_BATCH, Bundle
from hgan.runtime.region_grid import pool_regions, pooled
from hgan.runtime.similarity import dense
from hgan.runtime.stream import stream
from hgan.search.searcher import CANDIDATES
from hgan.sources.folder import FolderSource
from hgan.sources.types import Photo

CUTOFFS = (1, 5, 10)
TOP = max(CUTOFFS)


@dataclass(frozen=True)
class Query:
    """A caption and the photo that it describes."""

    dense: np.ndarray
    """(E,)"""
    words: np.ndarray
    """(w, D_l): the real words."""
    photo: str
    """Id of the point."""


@dataclass(frozen=True)
class Row:
    """A way to keep the vectors, and what was found with it."""

    bytes_each: float | None
    found: list[list[str]]
    """Ids of the first ten, for each query."""


def main() -> None:
    """Measure all ways on the same photos and captions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="a folder")
    parser.add_argument("--captions", type=Path, required=True, help="a captions.jsonl")
    parser.add_argument("--bundle", type=Path, help="default: the one that ships")
    parser.add_argument("--split", default="test", help="all: every photo with captions")
    parser.add_argument("--number", type=int, help="of photos, default: all of the split")
    parser.add_argument(
        "--regions", type=int, nargs="+", default=[9], help="numbers of regions to try"
    )
    options = parser.parse_args()
    bundle = Bundle.load(options.bundle)
    records = read_records(options.captions, options.split, options.number)
    points = list(encode_photos(options.photos, [record["image"] for record in records], bundle))
    queries = list(encode_captions(records, bundle))
    print(
        f"{len(points):,} photos, {len(queries):,} captions, {CANDIDATES} candidates, bundle "
        f"{bundle.config.name}\n"
    )
    edge.GRAPH_FROM = 2
    weight = bundle.config.weights["local"]
    rows: dict[str, Row] = {}
    for regions in (None, *options.regions):
        kept = [fewer(point, bundle, regions) for point in points]
        name = f"{regions} regions" if regions else "all regions"
        rows |= measure(name, kept, queries, bundle, weight)
    print_rows(rows, queries)


def measure(
    name: str, points: list[Point], queries: list[Query], bundle: Bundle, weight: float
) -> dict[str, Row]:
    """Store points in float16 and in int8, and search both."""
    rows = {}
    widths = IndexManifest.of(Path(), bundle)
    kinds: tuple[Quantize | None, ...] = (None, "int8")
    for kind in kinds:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "edge"
            with EdgeStore.create(folder, widths.dense, widths.local, kind) as store:
                for start in range(0, len(points), IMAGE_BATCH):
                    store.upsert(points[start : start + IMAGE_BATCH])
                store.optimize()
                if kind is None and name == "all regions":  # slow, and the same reference for all
                    exact = [top(store, query, weight, len(points)) for query in queries]
                    rows[f"{name}, float16, exact"] = Row(None, exact)
                found = [top(store, query, weight) for query in queries]
            rows[f"{name}, {kind or 'float16'}"] = Row(size(folder) / len(points), found)
    return rows


def read_records(path: Path, split: str, number: int | None) -> list[dict[str, object]]:
    """Photos with their captions."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [record for record in records if split in ("all", record.get("split"))][:number]


def fewer(point: Point, bundle: Bundle, regions: int | None) -> Point:
    """A photo with fewer regions."""
    side = pooled(bundle, regions).config.grid
    return replace(point, local=pool_regions(point.local[None], bundle.config.grid, side)[0])


def encode_photos(root: Path, names: list[str], bundle: Bundle) -> Iterator[Point]:
    """The photos as an index takes them."""

    source = FolderSource(root)
    entries: dict[str, Entry] = {}

    def load(name: str) -> np.ndarray:
        content = source.read(Photo(name, 0, 0))
        entries[name] = entry_of(content)
        return content.pixels(bundle.config.size)

    with progress("encode", total=len(names), unit="photos") as bar:
        for batch in stream(names, load, IMAGE_BATCH):
            encoded = bundle.encode_images(batch.arrays)
            yield from points_of(
                [entries[name] for name in batch.items], encoded, bundle.config.weights
            )
            bar.advance(len(batch.items) + len(batch.failed))


def encode_captions(records: list[dict[str, object]], bundle: Bundle) -> Iterator[Query]:
    """All captions."""
    pairs = [(text, record["image"]) for record in records for text in record["captions"]]
    with progress("encode", total=len(pairs), unit="captions") as bar:
        for start in range(0, len(pairs), TEXT_BATCH):
            batch = pairs[start : start + TEXT_BATCH]
            encoded = bundle.encode_texts([text for text, _ in batch])
            vectors = dense(encoded, bundle.config.weights)
            for row, (_, name) in enumerate(batch):
                words = encoded.local[row][encoded.mask[row]]
                yield Query(vectors[row], words, Entry(str(name), 0, 0, "").id)
            bar.advance(len(batch))


def top(store: Store, query: Query, weight: float, candidates: int | None = None) -> list[str]:
    """Both stages of a search, as `hgan.search.searcher` goes through them."""
    found = store.search(query.dense, candidates or CANDIDATES, exact=candidates is not None)
    local = store.rescore(query.words, [match.id for match in found]) if weight else {}
    total = {key: score + weight * local.get(key, 0.0) / len(query.words) for key, score in found}
    return sorted(total, key=lambda key: (-total[key], key))[:TOP]


def print_rows(rows: dict[str, Row], queries: list[Query]) -> None:
    """A table, each way beside the first in float16."""
    exact = rows["all regions, float16, exact"].found
    reference = rows["all regions, float16"]
    heads = "".join(f"{f'R@{cutoff}':>17}" for cutoff in CUTOFFS)
    print(f"{'':28}{'bytes/photo':>12}{'ratio':>7}{heads}{'overlap':>10}")
    for name, row in rows.items():
        told = ratio = ""
        if row.bytes_each is not None and reference.bytes_each is not None:
            told = f"{row.bytes_each:,.0f}"
            ratio = f"{row.bytes_each / reference.bytes_each:.2f}"
        shared = sum(len(set(a) & set(b)) for a, b in zip(row.found, exact, strict=True))
        cells = ""
        for cutoff in CUTOFFS:
            here, there = (recall(r.found, queries, cutoff) for r in (row, reference))
            cells += f"{here:>9.2%} {100 * (here - there):+.2f}".rjust(17)
        print(f"{name:28}{told:>12}{ratio:>7}{cells}{shared / sum(map(len, exact)):>10.2%}")


def recall(found: list[list[str]], queries: list[Query], cutoff: int) -> float:
    """The share of captions whose photo is among the first."""
    hits = sum(query.photo in top[:cutoff] for query, top in zip(queries, found, strict=True))
    return hits / len(queries)


def size(folder: Path) -> int:
    """Bytes on disk, the write-ahead log apart: it does not grow with the number of photos."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sum(file.stat().st_blocks * 512 for file in files if "wal" not in file.parts)


if __name__ == "__main__":
    main()
