"""What a person gets from a search: right hits, and an honest answer if nothing fits.

    python benchmarks/relevance.py                      # the bundle of hgan, on Flickr8k's test
    python benchmarks/relevance.py bundles/mine --split val
    python benchmarks/relevance.py --split val --captions data/coco_mini_val/captions.jsonl

The photos of a split are indexed, and searched as `hgan search` does.

- Queries that people type (`asked.tsv`: a query, then one or more sets of words, separated by tabs;
  a hit is right if its captions have a word of every set): how often the first hit is right, and
  one of the first five. Only queries that a photo of the split answers are counted.
- Queries made from captions, with an answer (see `hgan.export.queries`): the share of the right
  hits among the first ten that are fair or strong.
- Names of things that no caption has, and nonsense: the share of the queries that have no fair hit,
  so that a person is told that nothing fits. Captions do not name all that a photo shows, so the
  best possible is below 100 %.

A bundle is calibrated on validation; choose nothing by the result on test.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hgan.data.captions.read import read_captions
from hgan.export.queries import Collection, JudgedQuery, with_answer, without_answer, words_of
from hgan.index.indexer import index_folder
from hgan.runtime.bundle import Bundle
from hgan.search.finder import Hit
from hgan.search.query import Query
from hgan.search.searcher import Index, open_index

DATA = Path(os.environ.get("HGAN_DATA", "data")) / "flickr8k"
ASKED = Path(__file__).parent / "asked.tsv"
HITS = 10


def main() -> None:
    """Print the four shares, and the queries that went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path, nargs="?", help="by default the one of hgan")
    parser.add_argument("--captions", type=Path, default=DATA / "captions.jsonl")
    parser.add_argument("--photos", type=Path, help="by default `images` next to the captions")
    parser.add_argument("--split", default="test")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    captions = read_captions(chosen.captions).split(chosen.split)
    photos = (chosen.photos or chosen.captions.parent / "images").resolve()
    collection = Collection.of(captions)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "photos"
        place.mkdir()
        for name in captions.images:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).symlink_to(photos / name)
        bundle = Bundle.load(chosen.bundle)
        index_folder(place, Path(folder) / "index", bundle)
        with open_index(Path(folder) / "index", bundle) as index:
            rows = {name: row for row, name in enumerate(captions.images)}
            report(index, collection, rows, np.random.default_rng(chosen.seed))


def report(
    index: Index, collection: Collection, rows: dict[str, int], rng: np.random.Generator
) -> None:
    """Search, and print."""

    def row_of(hit: Hit) -> int:
        return rows[hit.path.relative_to(index.root).as_posix()]

    asked = [query for query in read_asked(collection) if query.answers]
    found = search(index, asked)
    first = [row_of(hits[0]) in query.answers for query, hits in zip(asked, found, strict=True)]
    five = [
        any(row_of(hit) in query.answers for hit in hits[:5])
        for query, hits in zip(asked, found, strict=True)
    ]
    print(f"{len(asked)} queries as people type them")
    print(f"  right first        {np.mean(first):6.1%}")
    print(f"  right among five   {np.mean(five):6.1%}")
    for query, right in zip(asked, first, strict=True):
        if not right:
            print(f"  first hit wrong: {query.text}")

    present = with_answer(collection, rng)
    kept = [
        hit.grade != "weak"
        for query, hits in zip(present, search(index, present), strict=True)
        for hit in hits
        if row_of(hit) in query.answers
    ]
    print(f"{len(present)} queries made from captions, {len(kept)} right hits")
    print(f"  fair or strong     {np.mean(kept):6.1%}")

    absent = without_answer(collection, [], set(), rng)
    caught = [hits[0].grade == "weak" for hits in search(index, absent)]
    print(f"{len(absent)} queries for what no caption names")
    print(f"  without a fair hit {np.mean(caught):6.1%}")
    passed = [query.text for query, weak in zip(absent, caught, strict=True) if not weak]
    print(f"  with one: {', '.join(passed)}")


def search(index: Index, queries: Sequence[JudgedQuery]) -> list[list[Hit]]:
    """The first hits of each query."""
    return index.find_many([Query(query.text) for query in queries], HITS)


def read_asked(collection: Collection) -> list[JudgedQuery]:
    """The queries of `asked.tsv`, with the photos that answer them."""
    queries = []
    for line in ASKED.read_text("utf-8").splitlines():
        text, *sets = line.split("\t")
        answers = frozenset(
            row
            for row, captions in enumerate(collection.captions)
            if all(set(words.split()) & set(words_of(" ".join(captions))) for words in sets)
        )
        queries.append(JudgedQuery(text, answers))
    return queries


if __name__ == "__main__":
    main()
