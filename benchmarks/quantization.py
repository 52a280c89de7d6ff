"""What does `--quantize int8` save, and what does it cost in photos found?

    python benchmarks/quantization.py --photos data/flickr8k/images \
        --captions data/flickr8k/captions.jsonl

Encodes the photos once, stores them in float16 and in int8, and prints for each: bytes a photo on
disk; the share of the exact float16 ranking's top ten that is found; and how often a caption's own
photo is among the first ten. Both are made with a graph, however few the photos: 8-bit integers
come into play together with it.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hgan.files import sha256
from hgan.index import edge
from hgan.index.edge import EdgeStore
from hgan.index.manifest import IndexManifest, Quantize
from hgan.index.store import Entry, Point, Store
from hgan.progress import progress
from hgan.runtime.bundle import IMAGE_BATCH, Bundle
from hgan.runtime.similarity import dense
from hgan.runtime.stream import stream
from hgan.search.searcher import CANDIDATES
from hgan.search.walk import Photo

TOP = 10


@dataclass(frozen=True)
class Query:
    """A caption and the photo that it describes."""

    dense: np.ndarray
    """(E,)"""
    words: np.ndarray
    """(w, D_l): the real words."""
    photo: str
    """Id of the point."""


def main() -> None:
    """Measure both stores on the same photos and captions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="a folder")
    parser.add_argument("--captions", type=Path, required=True, help="a captions.jsonl")
    parser.add_argument("--bundle", type=Path, help="default: the one that ships")
    parser.add_argument("--number", type=int, help="of photos; default: all with captions")
    parser.add_argument("--queries", type=int, default=1000)
    options = parser.parse_args()
    bundle = Bundle.load(options.bundle)
    lines = options.captions.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines][: options.number]
    points = list(encode_photos(options.photos, [record["image"] for record in records], bundle))
    queries = list(encode_captions(records, bundle, options.queries))
    print(f"{len(points):,} photos, {len(queries):,} queries, top {TOP}, {CANDIDATES} candidates\n")
    edge.GRAPH_FROM = 2
    weight = bundle.config.weights["local"]
    widths = IndexManifest.of(options.photos, bundle)
    print(f"{'':18}{'bytes/photo':>12}{'overlap':>10}{f'R@{TOP}':>10}")
    exact: list[list[str]] = []
    kinds: tuple[Quantize | None, ...] = (None, "int8")
    for kind in kinds:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "edge"
            with EdgeStore.create(folder, widths.dense, widths.local, kind) as store:
                for start in range(0, len(points), IMAGE_BATCH):
                    store.upsert(points[start : start + IMAGE_BATCH])
                store.optimize()
                if kind is None:
                    exact = [top(store, query, weight, len(points)) for query in queries]
                    print_row("float16, all exact", None, exact, exact, queries)
                found = [top(store, query, weight) for query in queries]
            print_row(kind or "float16", size(folder) / len(points), found, exact, queries)


def encode_photos(root: Path, names: list[str], bundle: Bundle) -> Iterator[Point]:
    """The photos as an index takes them."""

    def load(photo: Photo) -> np.ndarray:
        return photo.pixels(root / photo.path, bundle.config.size)

    photos = [Photo(name, 3_000_000, 10**18, sha256(root / name)) for name in names]
    with progress("encode", total=len(photos), unit="photos") as bar:
        for batch in stream(photos, load, IMAGE_BATCH):
            encoded = bundle.encode_images(batch.arrays)
            vectors = dense(encoded, bundle.config.weights)
            for row, photo in enumerate(batch.items):
                yield Point(photo.entry, vectors[row], encoded.local[row][encoded.mask[row]])
            bar.advance(len(batch.items) + len(batch.failed))


def encode_captions(
    records: list[Mapping[str, object]], bundle: Bundle, number: int
) -> Iterator[Query]:
    """A random sample of the captions, the same every time."""
    pairs = [(text, record["image"]) for record in records for text in record["captions"]]
    for text, name in random.Random(0).sample(pairs, min(number, len(pairs))):
        encoded = bundle.encode_texts([text])
        photo = Entry(str(name), 0, 0, "").id
        yield Query(
            dense(encoded, bundle.config.weights)[0], encoded.local[0][encoded.mask[0]], photo
        )


def top(store: Store, query: Query, weight: float, candidates: int | None = None) -> list[str]:
    """Both stages of a search, as `hgan.search.searcher` goes through them."""
    found = store.search(query.dense, candidates or CANDIDATES, exact=candidates is not None)
    local = store.rescore(query.words, [match.id for match in found]) if weight else {}
    total = {key: score + weight * local.get(key, 0.0) / len(query.words) for key, score in found}
    return sorted(total, key=lambda key: (-total[key], key))[:TOP]


def print_row(
    name: str,
    bytes_each: float | None,
    found: list[list[str]],
    exact: list[list[str]],
    queries: list[Query],
) -> None:
    """One store's figures."""
    shared = sum(len(set(a) & set(b)) for a, b in zip(found, exact, strict=True))
    overlap = shared / sum(map(len, exact))
    recall = sum(query.photo in top for query, top in zip(queries, found, strict=True))
    told = f"{bytes_each:,.0f}" if bytes_each else ""
    print(f"{name:18}{told:>12}{overlap:>10.2%}{recall / len(queries):>10.2%}")


def size(folder: Path) -> int:
    """Bytes on disk, the write-ahead log apart: it does not grow with the number of photos."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sum(file.stat().st_blocks * 512 for file in files if "wal" not in file.parts)


if __name__ == "__main__":
    main()
