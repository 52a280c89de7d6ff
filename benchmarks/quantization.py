"""Measure how `--quantize int8` and `--regions 9` change the size and accuracy of an index.

    python benchmarks/quantization.py --photos data/flickr8k/images \
        --captions data/flickr8k/captions.jsonl

Encodes the photos of the test split once, stores them with each option, and prints: bytes per photo
on disk, and the ratio to float16; recall of the captions' own photos at 1, 5 and 10, with the
difference to float16; and the share of the exact top ten that is found. All indexes have a graph,
also for few photos, since 8-bit integers are only used together with it.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hgan.index.points import entry_of, points_of
from hgan.index.store import edge_schema
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
    """(E,) dense vector of the caption"""
    words: np.ndarray
    """(w, D_l) vectors of the words, without padding"""
    photo: str
    """Id of the photo's point in the index"""


@dataclass(frozen=True)
class Row:
    """Measurements of one way to store the vectors."""

    bytes_each: float | None
    """Bytes per photo."""
    found: list[list[str]]
    """Ids of the top ten results of each query."""


def main() -> None:
    """Measure all options on the same photos and captions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--captions", type=Path, required=True, help="captions as JSON Lines")
    parser.add_argument("--bundle", type=Path, help="default: the bundle of hgan")
    parser.add_argument("--split", default="test", help="split of the photos, or all")
    parser.add_argument("--number", type=int, help="number of photos; default: all of the split")
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
    edge_schema.GRAPH_FROM = 2
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
    """Store points as float16 and as int8, and search both."""
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
                if kind is None and name == "all regions":  # the reference; slow, so only once
                    exact = [top(store, query, weight, len(points)) for query in queries]
                    rows[f"{name}, float16, exact"] = Row(None, exact)
                found = [top(store, query, weight) for query in queries]
            rows[f"{name}, {kind or 'float16'}"] = Row(size(folder) / len(points), found)
    return rows


def read_records(path: Path, split: str, number: int | None) -> list[dict[str, object]]:
    """Read the photos of a split, with their captions."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [record for record in records if split in ("all", record.get("split"))][:number]


def fewer(point: Point, bundle: Bundle, regions: int | None) -> Point:
    """Reduce the regions of a photo."""
    side = pooled(bundle, regions).config.grid
    return replace(point, local=pool_regions(point.local[None], bundle.config.grid, side)[0])


def encode_photos(root: Path, names: list[str], bundle: Bundle) -> Iterator[Point]:
    """Encode photos as points of an index."""

    source = FolderSource(root)
    entries: dict[str, Entry] = {}

    def load(name: str) -> np.ndarray:
        content = source.read(Photo(name, 0, 0))
        entries[name] = entry_of(content)
        return content.decode(bundle.preprocessing).pixels

    with progress("encode", total=len(names), unit="photos") as bar:
        for batch in stream(names, load, IMAGE_BATCH):
            encoded = bundle.encode_images(batch.arrays)
            yield from points_of(
                [entries[name] for name in batch.items], encoded, bundle.config.weights
            )
            bar.advance(len(batch.items) + len(batch.failed))


def encode_captions(records: list[dict[str, object]], bundle: Bundle) -> Iterator[Query]:
    """Encode all captions as queries."""
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
    """Ids of the top results of both stages of a search, as in `hgan.search.searcher`."""
    found = store.search(query.dense, candidates or CANDIDATES, exact=candidates is not None)
    local = store.rescore(query.words, [match.id for match in found]) if weight else {}
    total = {key: score + weight * local.get(key, 0.0) / len(query.words) for key, score in found}
    return sorted(total, key=lambda key: (-total[key], key))[:TOP]


def print_rows(rows: dict[str, Row], queries: list[Query]) -> None:
    """Print the table, with differences to float16 with all regions."""
    exact = rows["all regions, float16, exact"].found
    reference = rows["all regions, float16"]
    heads = "".join(f"{f'R@{cutoff}':>17}" for cutoff in CUTOFFS)
    print(f"{'':28}{'bytes/photo':>12}{'ratio':>7}{heads}{'overlap':>10}")
    for name, row in rows.items():
        each = ratio = ""
        if row.bytes_each is not None and reference.bytes_each is not None:
            each = f"{row.bytes_each:,.0f}"
            ratio = f"{row.bytes_each / reference.bytes_each:.2f}"
        shared = sum(len(set(a) & set(b)) for a, b in zip(row.found, exact, strict=True))
        cells = ""
        for cutoff in CUTOFFS:
            value, base = (recall(r.found, queries, cutoff) for r in (row, reference))
            cells += f"{value:>9.2%} {100 * (value - base):+.2f}".rjust(17)
        print(f"{name:28}{each:>12}{ratio:>7}{cells}{shared / sum(map(len, exact)):>10.2%}")


def recall(found: list[list[str]], queries: list[Query], cutoff: int) -> float:
    """Recall at a cutoff: the share of captions whose photo is among the top results."""
    hits = sum(query.photo in top[:cutoff] for query, top in zip(queries, found, strict=True))
    return hits / len(queries)


def size(folder: Path) -> int:
    """Bytes on disk, without the write-ahead log, whose size does not depend on the number of
    photos."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sum(file.stat().st_blocks * 512 for file in files if "wal" not in file.parts)


if __name__ == "__main__":
    main()
