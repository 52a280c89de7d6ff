"""Pages of results: every photo of the collection is on one page."""

import numpy as np
import pytest

from hgan.index.indexer import index_folder
from hgan.search.finder import SearchOptions
from hgan.search.query import Query
from hgan.search.searcher import CANDIDATES, _limits, open_index
from tests.fixtures.photos import save_photo


def many(folder, count: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(count):
        save_photo(folder / f"{number}.png", tuple(rng.integers(0, 256, 3)), seed=number)


def pages(index, query, k):
    """All pages, up to the first empty one."""
    offset = 0
    while hits := index.find(query, k, offset=offset):
        yield hits
        offset += k


@pytest.mark.slow
@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize("count", [600, 5000], ids=lambda count: str(count))
def test_each_photo_is_on_one_page(tmp_path, bundle, quantize, count):
    many(tmp_path / "photos", count)
    index_folder(tmp_path / "photos", tmp_path / "index", bundle, quantize=quantize)
    with open_index(tmp_path / "index", bundle) as index:
        like = index.search("red", 1)[0].id
        for query in (Query("a red photo"), Query(like=like), Query("blue", without=("red",))):
            found = [hit for page in pages(index, query, 48) for hit in page]
            assert len(found) == len({hit.id for hit in found}) == count - bool(query.like)
            again = [hit.id for hit in index.find(query, 48, offset=96)]
            assert again == [hit.id for hit in found[96:144]]


def test_the_first_candidates_are_in_the_order_of_an_exhaustive_search(tmp_path, bundle):
    many(tmp_path / "photos", 300)
    index_folder(tmp_path / "photos", tmp_path / "index", bundle)
    with open_index(tmp_path / "index", bundle) as index:
        found = [hit for page in pages(index, Query("green snow"), 10) for hit in page]
        first = found[:CANDIDATES]
        assert [hit.score for hit in first] == sorted((hit.score for hit in first), reverse=True)
        assert [hit.id for hit in found[:5]] == [
            hit.id for hit in index.exhaustive("green snow", 5)
        ]


@pytest.mark.parametrize(
    ("k", "offset", "expected"),
    [
        (10, 0, [100]),
        (10, 90, [100]),
        (10, 91, [100, 200]),
        (48, 0, [192]),
        (48, 960, [192, 384, 768, 1536]),
    ],
)
def test_rounds_are_the_same_for_all_pages_of_a_size(k, offset, expected):
    assert list(_limits(SearchOptions(k, offset), 0)) == expected
