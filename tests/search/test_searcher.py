"""Searching: two stages compared with an exhaustive loop, scores by level, refused queries."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hgan.errors import BundleError, DataError, IndexingError
from hgan.index.conditions.filter import Filter
from hgan.index.indexer import index_folder
from hgan.runtime.bundle import Bundle
from hgan.runtime.images import open_photo
from hgan.runtime.preprocessing import Preprocessing
from hgan.runtime.similarity import score_levels
from hgan.search.finder import Hit
from hgan.search.query import Query
from hgan.search.searcher import Index, open_index
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import SIZE, write_tiny_bundle

# What float16 in the index costs.
HALF = 3e-3


@pytest.fixture
def index(photos, tmp_path, bundle):
    save_photo(photos / "odd.png", (250, 250, 0))
    index_folder(photos, tmp_path / "index", bundle)
    with open_index(tmp_path / "index", bundle) as opened:
        yield opened


def naive(index: Index, text: str) -> dict[Path, tuple[float, dict[str, float]]]:
    """S of every photo, by encoding it again."""
    paths = sorted(index.root.rglob("*.png"))
    encoded = index.bundle.encode_images(
        [Preprocessing(SIZE).pixels(open_photo(path)) for path in paths]
    )
    scores = score_levels(encoded, index.bundle.encode_texts([text]), index.bundle.config.weights)
    return {
        path: (float(scores.total[i, 0]), {n: float(v[i, 0]) for n, v in scores.levels.items()})
        for i, path in enumerate(paths)
    }


@pytest.mark.parametrize("text", ["a red photo", "two blue dogs in the green snow", "🐕"])
def test_scores_are_the_models_own(index, text):
    expected = naive(index, text)
    for hits in (index.search(text, k=100), index.exhaustive(text, k=100)):
        assert {hit.path for hit in hits} == set(expected)
        assert [hit.score for hit in hits] == sorted((h.score for h in hits), reverse=True)
        for hit in hits:
            score, levels = expected[hit.path]
            assert hit.score == pytest.approx(score, abs=HALF)
            assert hit.levels == pytest.approx(levels, abs=2 * HALF)
            weighted = sum(
                index.bundle.config.weights[name] * value for name, value in hit.levels.items()
            )
            assert hit.score == pytest.approx(weighted, abs=1e-3)


@pytest.mark.parametrize("colour", COLOURS)
def test_finds_what_is_asked_for(index, colour):
    hits = index.search(f"a {colour} photo", k=4)
    assert [hit.path.name.split()[0] for hit in hits] == [colour] * 4
    assert all(hit.path.is_file() for hit in hits)


def test_two_stages_find_what_exhaustive_search_finds(tmp_path, bundle):
    folder = tmp_path / "many"
    rng = np.random.default_rng(0)
    for i in range(300):
        save_photo(folder / f"{i}.png", tuple(rng.integers(0, 256, 3)), seed=i)
    index_folder(folder, tmp_path / "index", bundle)
    with open_index(tmp_path / "index", bundle) as index:
        for text in ("red", "a blue photo", "white snow", "two green dogs", "black"):
            exact = [hit.path for hit in index.exhaustive(text)]
            assert len(exact) == 10
            found = [hit.path for hit in index.search(text, candidates=100)]
            assert len(set(found) & set(exact)) >= 9
            # With all photos as candidates the answer is the same to the last place.
            assert [hit.path for hit in index.search(text, candidates=300)] == exact


def test_second_stage_reorders(photos, tmp_path):
    """The local level counts: with one candidate a hit, the best photo can be missed."""
    weights = {"context": 0.05, "shared": 0.0, "local": 0.95}
    bundle = Bundle.load(write_tiny_bundle(tmp_path / "local", weights=weights))
    half = np.zeros((64, 64, 3), np.uint8)
    half[:32] = COLOURS["red"]
    half[32:] = (0, 255, 255)  # on the whole it is grey, and one region of it is red
    Image.fromarray(half).save(photos / "half.png")
    index_folder(photos, tmp_path / "index", bundle)
    with open_index(tmp_path / "index", bundle) as index:
        best = {hit.path.name for hit in index.search("red", k=5)}
        assert best == {"half.png", "red 0.png", "red 1.png", "red 2.png", "red 3.png"}
        levels = next(h.levels for h in index.search("red", k=5) if h.path.name == "half.png")
        assert levels["local"] > 0.9 > 0.6 > levels["context"]


def test_photo_as_query_in_every_form(index):
    path = index.root / "odd.png"
    forms = [path, str(path), path.read_bytes(), Image.open(path), Image.open(path).convert("CMYK")]
    for form in forms:
        best = index.search_image(form, k=2)[0]
        assert best.path == path
        assert best.score == pytest.approx(1, abs=0.01)
        assert set(best.levels) == {"context", "shared", "local"}


@pytest.mark.parametrize("form", [Path("nowhere.jpg"), b"", b"no photo"])
def test_photo_that_cannot_be_read(index, form):
    with pytest.raises(DataError):
        index.search_image(form)


def test_text_without_words(index):
    with pytest.raises(DataError, match="no words"):
        index.search("  ")


def test_ten_thousand_words(index):
    assert len(index.search("red " * 10_000, k=3)) == 3


def test_inside_a_folder(index):
    for folder in ("red", "red/", "./red"):
        hits = index.search("a blue photo", k=50, where=f"folder={folder}")
        assert {hit.path.parent.name for hit in hits} == {"red"}
        assert len(hits) == 3
    assert len(index.search("red", k=50, where="folder=.")) == 13
    assert index.search("red", where="folder=nowhere") == []
    assert len(index.search_image(index.root / "red 0.png", k=50, where="folder=blue")) == 3


@pytest.mark.parametrize(("k", "found"), [(0, 0), (1, 1), (13, 13), (5000, 13)])
def test_number_of_hits(index, k, found):
    assert len(index.search("red", k=k)) == found
    assert len(index) == 13


@pytest.mark.parametrize("level", ["context", "shared", "local"])
def test_model_of_one_level(photos, tmp_path, level):
    weights = {name: float(name == level) for name in ("context", "shared", "local")}
    bundle = Bundle.load(write_tiny_bundle(tmp_path / "one", weights=weights))
    index_folder(photos, tmp_path / "index", bundle)
    with open_index(tmp_path / "index") as index:
        hits = index.search("green", k=4)
        assert [hit.path.name.split()[0] for hit in hits] == ["green"] * 4
        assert set(hits[0].levels) == {level}
        assert hits[0].score == pytest.approx(hits[0].levels[level], abs=1e-3)


def test_filters(index):
    where = Filter.parse(["folder=red"])
    for hits in (
        index.search("a blue photo", 50, where=where),
        index.search_image(index.root / "odd.png", 50, where=where),
        index.find(Query(like="red/red 1.png"), 50, where=where),
    ):
        assert {hit.path.parent.name for hit in hits} == {"red"}
    assert index.search("red", where=Filter.parse(["folder=red and tag=beach"])) == []
    assert index.search("red", where=("folder=red", "tag=beach")) == []
    assert index.search("red", where=("folder=red", "folder=blue")) == []
    either = index.search("red", 50, where="folder=red or folder=blue")
    assert {hit.path.parent.name for hit in either} == {"red", "blue"}
    for wrong in (3, {"folder": "red"}):
        with pytest.raises(DataError, match="where must be a Filter or conditions"):
            index.search("red", where=wrong)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("size", [1, 4, 5])
@pytest.mark.parametrize("query", [Query("a red photo"), Query("red", like="red 0.png")])
def test_pages_together_are_one_large_page(index, query, size, folded):
    for name in ("a", "b", "c"):  # ties: the same photo three times
        shutil.copy(index.root / "red/red 1.png", index.root / f"{name}.png")
    index.close()
    bundle, place = index.bundle, index.root.parent / "index"
    index_folder(index.root, place, bundle)
    with open_index(place, bundle) as again:
        whole = again.find(query, 100, fold=folded)
        pages = [again.find(query, size, offset=i, fold=folded) for i in range(0, 20, size)]
    assert [hit for page in pages for hit in page] == whole
    assert whole == sorted(whole, key=lambda hit: (-hit.score, hit.id))
    assert len({hit.id for hit in whole}) == len(whole)
    everything = [path for hit in whole for path in (hit.path, *hit.duplicates)]
    assert len(everything) == len(set(everything)) == 16 - bool(query.like)


def test_a_page_behind_the_candidates(index):
    assert len(index.find(Query("red"), 1, offset=7, candidates=2)) == 1
    assert index.find(Query("red"), 5, offset=13) == []
    many = index.find(Query("red"), 13, candidates=13)
    assert index.find(Query("red"), 3, offset=10, candidates=13) == many[10:]


@pytest.mark.parametrize("fields", [{"k": -1}, {"offset": -1}])
def test_numbers_below_zero(index, fields):
    with pytest.raises(DataError, match="must not be negative"):
        index.find(Query("red"), **fields)


def test_threshold(index):
    whole = index.find(Query("red"), 100)
    for hit in (whole[0], whole[5], whole[-1]):
        expected = [other for other in whole if other.score >= hit.score]
        assert index.find(Query("red"), 100, threshold=hit.score) == expected
    assert index.find(Query("red"), threshold=1.5) == []


def test_copies_are_folded_under_the_best(photos, tmp_path, bundle):
    shutil.copy(photos / "red/red 1.png", photos / "copy.png")
    image = Image.open(photos / "red/red 1.png")
    image.save(photos / "saved again.jpg", quality=97)
    index_folder(photos, tmp_path / "index", bundle)
    with open_index(tmp_path / "index", bundle) as index:
        plain = index.find(Query("red"), 100)
        folded = index.find(Query("red"), 100, fold=True)
    assert not any(hit.duplicates for hit in plain)
    same = {photos / name for name in ("red/red 1.png", "copy.png", "saved again.jpg")}
    [group] = [hit for hit in folded if same & {hit.path, *hit.duplicates}]
    assert same <= {group.path, *group.duplicates}
    best = next(hit for hit in plain if hit.path in {group.path, *group.duplicates})
    assert (group.path, group.score, group.levels) == (best.path, best.score, best.levels)
    members = [path for hit in folded for path in (hit.path, *hit.duplicates)]
    assert sorted(members) == sorted(hit.path for hit in plain)


def test_a_search_for_words_asks_the_store_no_more_than_it_must(index, monkeypatch):
    asked = []
    for name in ("search", "rescore", "fetch"):
        method = getattr(index._store, name)

        def ask(*arguments, name=name, method=method, **more):
            asked.append(name)
            return method(*arguments, **more)

        monkeypatch.setattr(index._store, name, ask)
    index.search("a red photo")
    assert asked == ["search", "rescore", "fetch"]
    asked.clear()
    index.find(Query("red", index.root / "odd.png", "red 0.png", ("blue", "green")))
    assert asked == ["fetch", "search", "rescore", "rescore", "fetch"]


def test_ids_are_those_of_paths(index, photos):
    ids = {hit.path: hit.id for hit in index.search("red", 100)}
    assert len(set(ids.values())) == 13
    assert ids == {hit.path: hit.id for hit in index.search("blue", 100)}


def test_several_threads_at_once(index):
    texts = ["red", "a green photo", "blue dogs"] * 10
    expected = [index.search(text) for text in texts]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(index.search, texts)) == expected


def test_closed(photos, tmp_path, bundle):
    index_folder(photos, tmp_path / "index", bundle)
    index = open_index(tmp_path / "index")
    index.close()
    index.close()
    with pytest.raises(IndexingError, match="closed"):
        index.search("red")
    with open_index(tmp_path / "index") as again:
        assert len(again) == 12


def test_no_index(tmp_path):
    with pytest.raises(IndexingError, match="hgan index"):
        open_index(tmp_path / "nowhere")


def test_newer_index(photos, tmp_path, bundle):
    index_folder(photos, tmp_path / "index", bundle)
    file = tmp_path / "index/index.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format_version": 99}))
    with pytest.raises(IndexingError, match="upgrade"):
        open_index(tmp_path / "index")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"format_version": 1}'])
def test_damaged_index(photos, tmp_path, bundle, content):
    index_folder(photos, tmp_path / "index", bundle)
    (tmp_path / "index/index.json").write_bytes(content)
    with pytest.raises(IndexingError, match=r"index.json: damaged"):
        open_index(tmp_path / "index")


def test_bundle_that_has_gone(photos, tmp_path):
    folder = write_tiny_bundle(tmp_path / "gone")
    index_folder(photos, tmp_path / "index", folder)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="gone"):
        open_index(tmp_path / "index")
    with open_index(tmp_path / "index", tmp_path / "elsewhere") as index:
        assert len(index) == 12


def test_hit_is_frozen():
    hit = Hit(Path("a.jpg"), 0.5, {})
    with pytest.raises(AttributeError):
        hit.score = 1.0  # type: ignore[misc]
