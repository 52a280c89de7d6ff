"""The relevance of hits: of which queries it is known, and what a bound on it leaves out."""

import numpy as np
import pytest

from hgan.errors import BundleError, DataError, IndexingError
from hgan.index.indexer import index_folder
from hgan.index.store.contract import Point
from hgan.index.store.payload import Widths
from hgan.runtime.bundle import Bundle
from hgan.runtime.similarity import score_levels
from hgan.search import relevance as module
from hgan.search.calibration import (
    QUANTITIES,
    Background,
    Calibration,
    Candidates,
    Regression,
    quantities,
)
from hgan.search.query import Query
from hgan.search.searcher import open_index
from tests.fixtures.photos import save_photo
from tests.fixtures.tiny_bundle import write_tiny_bundle

N = len(QUANTITIES)


def calibrated(bundle: Bundle) -> Calibration:
    """Judges by how far a photo is above the collection."""
    background = Background(
        bundle.encode_texts(["red", "a dog"]).context, bundle.encode_texts(["a photo"]).context
    )
    linear = np.zeros(N, np.float32)
    linear[QUANTITIES.index("above the collection")] = 3
    zeros = np.zeros(N, np.float32)
    regression = Regression(
        zeros, np.ones(N, np.float32), np.float32(-1), linear, np.zeros((N, N), np.float32)
    )
    return Calibration(bundle.id, background, regression, ("red", "photo"))


@pytest.fixture
def model(tmp_path):
    return Bundle.load(write_tiny_bundle(tmp_path / "bundle"))


@pytest.fixture
def index(photos, tmp_path, model):
    calibrated(model).save(model.folder)
    index_folder(photos, tmp_path / "index", model)
    with open_index(tmp_path / "index", model) as opened:
        yield opened


def test_hits_have_the_relevance_of_their_quantities(index, model):
    text = "a red photo"
    hits = index.search(text, k=100)
    paths = [hit.path for hit in hits]
    photos = model.encode_image(paths)
    words = model.encode_text(text)
    scores = score_levels(photos, words, model.weights).total[:, 0]
    calibration = Calibration.load(model.folder, model.id, model.widths["context"])
    candidates = Candidates(photos.context, scores, float(np.sort(scores).mean()), photos.context)
    measured = quantities(
        words.context[0], int(words.mask.sum()), candidates, calibration.background
    )
    expected = calibration.regression.relevance(measured)
    assert [hit.relevance for hit in hits] == pytest.approx(expected.tolist(), abs=0.02)
    assert hits[0].grade == "strong" and hits[-1].grade == "weak"


def test_pages_and_other_options_do_not_change_it(index):
    every = {hit.id: hit.relevance for hit in index.search("blue", k=100)}
    for options in ({"k": 2, "offset": 3}, {"k": 3, "threshold": 0.1}, {"k": 2, "fold": True}):
        for hit in index.search("blue", **options):
            assert hit.relevance == pytest.approx(every[hit.id], abs=1e-5)


def test_a_bound_leaves_out_what_is_below(index):
    every = index.search("blue", k=100)
    kept = index.search("blue", k=100, min_relevance=0.5)
    assert [hit.id for hit in kept] == [hit.id for hit in every if hit.relevance >= 0.5]
    assert 0 < len(kept) < len(every)


def test_texts_to_avoid_keep_it_and_photos_have_none(index, photos):
    photo = next(photos.rglob("*.png"))
    assert all(hit.grade for hit in index.find(Query("red", without=("blue",))))
    for query in (Query(photo=photo), Query("red", photo=photo), Query(like=str(photo))):
        assert {hit.relevance for hit in index.find(query)} == {None}
        with pytest.raises(DataError, match="only known if photos are searched with a text"):
            index.find(query, min_relevance=0.5)


def test_a_model_without_calibration_has_none(photos, tmp_path, model):
    index_folder(photos, tmp_path / "index", model)
    with open_index(tmp_path / "index", model) as index:
        assert {hit.grade for hit in index.search("red")} == {None}
        with pytest.raises(DataError, match=r"no calibration.*hgan calibrate"):
            index.search("red", min_relevance=0.5)


def test_the_collection_is_read_again_after_a_while(photos, tmp_path, model, monkeypatch):
    calibrated(model).save(model.folder)
    index_folder(photos, tmp_path / "index", model)
    with open_index(tmp_path / "index", model) as index:
        before = index.search("red", k=1)[0].relevance
        sample = index._relevance._sample
        index.search("blue", k=1)
        assert index._relevance._sample is sample
        monkeypatch.setattr(module, "FRESH", -1.0)
        assert index.search("red", k=1)[0].relevance == pytest.approx(before)
        assert index._relevance._sample is not sample


def test_a_bound_must_be_between_0_and_1(index):
    with pytest.raises(DataError, match="between 0 and 1"):
        index.search("red", min_relevance=2.0)


def test_an_index_of_texts_has_none(tmp_path, model):
    from hgan.index.texts import index_texts

    calibrated(model).save(model.folder)
    file = tmp_path / "texts.txt"
    file.write_text("a red photo\na blue dog\n")
    index_texts(file, tmp_path / "texts", model)
    with open_index(tmp_path / "texts", model) as index:
        assert {hit.relevance for hit in index.search("red")} == {None}


def test_damaged_calibrations_are_named(index, model):
    (model.folder / "calibration.npz").write_text("x")
    with pytest.raises(BundleError, match=r"calibration\.npz"):
        index.search("red")


def test_one_photo_is_a_collection(tmp_path, model):
    folder = tmp_path / "one"
    save_photo(folder / "red.png", (250, 0, 0))
    calibrated(model).save(model.folder)
    index_folder(folder, tmp_path / "small", model)
    with open_index(tmp_path / "small", model) as index:
        [hit] = index.search("red")
        assert 0 <= hit.relevance <= 1


def test_a_damaged_photo_matters_only_to_searches_that_find_it(
    photos, tmp_path, model, monkeypatch
):
    calibrated(model).save(model.folder)
    named = Widths.named

    def wrong(widths: Widths, point: Point) -> dict:  # as if the bytes of one photo had changed
        found = named(widths, point)
        if point.entry.path == "blue 0.png":
            found["dense"] = np.zeros(widths.dense, np.float16).tolist()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Widths, "named", wrong)
        index_folder(photos, tmp_path / "index", model)
    with open_index(tmp_path / "index", model) as index:
        hits = index.search("red", k=4)
        assert len(hits) == 4 and all(hit.grade for hit in hits)
        with pytest.raises(IndexingError, match="--repair"):
            index.search("blue", k=100)
