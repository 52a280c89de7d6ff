"""Queries of several parts: which are valid, and scores compared with the sum of the parts."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.errors import DataError
from hgan.index.conditions.filter import Filter
from hgan.index.indexer import index_folder
from hgan.runtime.bundle import Bundle
from hgan.runtime.images import open_photo
from hgan.runtime.preprocessing import Preprocessing
from hgan.runtime.similarity import score_levels
from hgan.search.query import WITHOUT, Query
from hgan.search.searcher import Index, open_index
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import SIZE, write_tiny_bundle

# What float16 in the index costs, for each unit of weight.
HALF = 3e-3
TEXTS = ("red", "a blue photo", "two green dogs in the white snow", "black", "🐕")
NAMES = tuple(f"{colour}/{i}.png" for colour in COLOURS for i in range(3))


@pytest.fixture(scope="module", params=["all", "context", "shared", "local"])
def index(request, tmp_path_factory):
    """Nine photos and a model, of all levels or of one."""
    folder = tmp_path_factory.mktemp("queries")
    one = {level: float(level == request.param) for level in ("context", "shared", "local")}
    weights = None if request.param == "all" else one
    bundle = Bundle.load(write_tiny_bundle(folder / "bundle", weights=weights))
    for seed, name in enumerate(NAMES):
        save_photo(folder / "photos" / name, COLOURS[name.split("/")[0]], seed)
    save_photo(folder / "outside.png", (120, 120, 0))
    index_folder(folder / "photos", folder / "index", bundle)
    with open_index(folder / "index", bundle) as opened:
        yield opened


def encode(index: Index, *paths: Path):
    return index.bundle.encode_images(
        [Preprocessing(SIZE).pixels(open_photo(path, SIZE)) for path in paths]
    )


def naive(index: Index, query: Query) -> dict[Path, float]:
    """The weighted sum of what each part scores by itself."""
    paths = [index.root / name for name in NAMES if name != query.like]
    photos, weights = encode(index, *paths), index.bundle.config.weights
    total = np.zeros(len(paths))

    def add(weight, part):
        total[:] += weight * score_levels(photos, part, weights).total[:, 0]

    sources = [query.photo, query.like and index.root / query.like]
    given_photos = [source for source in sources if source is not None]
    share = (query.photo_share if query.text else 1.0) if given_photos else 0.0
    for source in given_photos:
        add(share / len(given_photos), encode(index, source))
    if query.text:
        add(1 - share, index.bundle.encode_texts([query.text]))
    for text in query.without:
        add(WITHOUT, index.bundle.encode_texts([text]))
    return dict(zip(paths, total, strict=True))


@st.composite
def mixtures(draw):
    """Everything that can be asked for but the photo's place: text, photo, like, without, share."""
    text = draw(st.sampled_from(("", *TEXTS)))
    photo = draw(st.booleans())
    like = draw(st.sampled_from((None, *NAMES)))
    if not (text or photo or like):
        text = TEXTS[0]
    without = tuple(draw(st.lists(st.sampled_from(TEXTS), max_size=3)))
    return text, photo, like, without, draw(st.floats(0, 1))


@given(mixture=mixtures())
def test_scores_are_the_sum_over_parts(index, mixture):
    text, photo, like, without, share = mixture
    outside = index.root.parent / "outside.png" if photo else None
    query = Query(text, outside, like, without, share)
    expected = naive(index, query)
    tolerance = HALF * (1 + len(without))
    hits = index.find(query, 100)
    assert {hit.path for hit in hits} == set(expected)
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.path], abs=tolerance)
        levels = sum(index.bundle.config.weights[name] * v for name, v in hit.levels.items())
        assert hit.score == pytest.approx(levels, abs=tolerance)


def test_many_queries_find_what_each_finds(index):
    photo = index.root / "red/1.png"
    queries = [
        Query("red"),
        Query("a blue photo", without=("red",)),
        Query(photo=photo),
        Query("red", like="blue/0.png"),
        Query("black", photo=photo.read_bytes(), photo_share=0.2),
    ]
    one_by_one = [index.find(query, 4, where=Filter.parse(["folder=red"])) for query in queries]
    together = index.find_many(queries, 4, where=Filter.parse(["folder=red"]))
    for hits, others in zip(together, one_by_one, strict=True):
        assert [hit.id for hit in hits] == [other.id for other in others]
        scores = [other.score for other in others]
        assert [hit.score for hit in hits] == pytest.approx(scores, abs=1e-4)
    assert index.find_many([]) == []


def test_what_should_not_be_there_comes_last(index):
    hits = index.find(Query("blue", without=("green",)), 9)
    colours = [hit.path.parent.name for hit in hits]
    assert colours == ["blue"] * 3 + ["red"] * 3 + ["green"] * 3


def test_a_photo_and_words_between_them(index):
    red = index.root / "red/0.png"
    for share, first in ((0.0, "blue"), (1.0, "red")):
        hits = index.find(Query("blue", photo=red, photo_share=share), 3)
        assert {hit.path.parent.name for hit in hits} == {first}


def test_like_a_photo_of_the_index_in_every_form(index, monkeypatch):
    monkeypatch.chdir(index.root / "green")
    path = index.root / "green/1.png"
    [found] = [hit for hit in index.find(Query("green"), 9) if hit.path == path]
    expected = index.find(Query(like="green/1.png"), 9)
    assert path not in {hit.path for hit in expected} and len(expected) == 8
    assert {hit.path.parent.name for hit in expected[:2]} == {"green"}
    for name in (found.id, str(path), "1.png", "./green/1.png"):
        assert index.find(Query(like=name), 9) == expected


def test_like_needs_no_file(index, tmp_path):
    path = index.root / "blue/2.png"
    path.rename(tmp_path / "away.png")
    try:
        assert index.find(Query(like="blue/2.png"), 2)[0].path.parent.name == "blue"
    finally:
        (tmp_path / "away.png").rename(path)


@pytest.mark.parametrize(
    "name", ["nowhere.png", "/", "..", "a\0b", "\ud800", "x" * 5000, NAMES[0] + "/"]
)
def test_like_a_photo_that_is_not_there(index, name):
    with pytest.raises(DataError, match="not in this index"):
        index.find(Query(like="elsewhere/" + name))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "no words and no photo"),
        ({"text": " \n"}, "no words and no photo"),
        ({"like": ""}, "no words and no photo"),
        ({"without": ("red",)}, "in addition to what they should not show"),
        ({"text": "red", "without": "blue"}, r"write without=\('blue',\)"),
        ({"text": "red", "without": ("blue", " ")}, "empty text"),
        ({"text": "red", "photo_share": -0.1}, "between 0 and 1"),
        ({"text": "red", "photo_share": 1.1}, "between 0 and 1"),
        ({"text": "red", "photo_share": float("nan")}, "between 0 and 1"),
    ],
)
def test_what_is_no_query(fields, message):
    with pytest.raises(DataError, match=message):
        Query(**fields)


def test_without_no_words(index):
    with pytest.raises(DataError, match="no words"):
        index.find(Query("red", without=("\u200b",)))
