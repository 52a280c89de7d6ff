"""Everything works with a model that has only the context level, as dual encoders do."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hgan
from hgan.errors import IndexingError
from hgan.index.describe import describe_index
from hgan.index.estimate import estimate
from hgan.index.indexer import index_folder
from hgan.index.store.manifest import Quantize
from hgan.index.store.open import read_manifest
from hgan.index.texts import index_texts
from hgan.index.verify import verify_index
from hgan.runtime.bundle import Bundle
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import edit_config, write_tiny_bundle

CONTEXT = {"context": 1.0, "shared": 0.0, "local": 0.0}


@pytest.fixture
def whole(tmp_path: Path) -> Bundle:
    """A bundle with the context level alone, which crops photos."""
    folder = write_tiny_bundle(tmp_path / "whole", weights=CONTEXT)
    crop = {"fit": "crop", "filter": "bicubic", "shorter_side": 18}
    edit_config(folder, preprocessing=crop, languages=["en"], grid=1, boxes=[[0, 0, 1, 1]])
    return Bundle.load(folder)


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_index_and_search(
    whole: Bundle, photos: Path, tmp_path: Path, quantize: Quantize | None
) -> None:
    to = tmp_path / "index"
    report = index_folder(photos, to, whole, quantize)
    assert (report.added, report.skipped) == (12, {})
    assert index_folder(photos, to).unchanged == 12
    texts = whole.encode_text(["a red photo"])
    with hgan.open_index(to) as index:
        hits = index.search("a red photo", k=12)
        expected = whole.similarity(whole.encode_image([hit.path for hit in hits]), texts)[:, 0]
        np.testing.assert_allclose([hit.score for hit in hits], expected, atol=5e-3)
        assert all(hit.levels == {"context": pytest.approx(hit.score, abs=5e-3)} for hit in hits)
        assert [hit.path.name[:3] for hit in hits[:4]] == ["red"] * 4
        assert [hit.id for hit in index.exhaustive("a red photo", 12)] == [hit.id for hit in hits]
        like = index.search_image(photos / "blue 0.png", k=4)
        assert [hit.path.name[:4] for hit in like] == ["blue"] * 4
        again = index.find(hgan.Query(like="blue 0.png"), k=3)
        assert [hit.path.name[:4] for hit in again] == ["blue"] * 3
        mixed = hgan.Query("a red photo", photo=photos / "blue 0.png", photo_share=0.1)
        assert index.find(mixed)[0].path.name.startswith("red")
        for colour, other in (("red", "blue"), ("blue", "red")):
            without = index.find(hgan.Query("a red blue photo", without=(colour,)), k=4)
            assert [hit.path.name.split()[0] for hit in without] == [other] * 4
        inside = index.search("a red photo", k=9, where="folder=green")
        assert {hit.path.parent.name for hit in inside} == {"green"}
        explanation = index.explain(hits[0].id, "a red photo")
        assert explanation.is_whole and explanation.words == [] and explanation.slots == []
        assert explanation.score == pytest.approx(hits[0].score, abs=5e-3)
    assert verify_index(to).intact == 12


def test_near_duplicates_are_folded(whole: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for name, colour in COLOURS.items():
        save_photo(folder / f"{name}.png", colour)
    with Image.open(folder / "red.png") as photo:
        photo.save(folder / "copy.jpg", quality=95)
    index_folder(folder, tmp_path / "index", whole)
    with hgan.open_index(tmp_path / "index") as index:
        [best, *rest] = index.search("red", fold=True)
        names = {best.path.name, *(path.name for path in best.duplicates)}
        assert names == {"red.png", "copy.jpg"} and len(rest) == 2


def test_texts_are_found_by_photo(whole: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "captions.txt"
    file.write_text("a red dog\na green dog\na blue dog\n")
    assert index_texts(file, tmp_path / "index", whole).added == 3
    photo = save_photo(tmp_path / "green.png", COLOURS["green"])
    with hgan.open_index(tmp_path / "index") as index:
        assert index.search_image(photo)[0].text == "a green dog"
        assert index.search("blue")[0].text == "a blue dog"


def test_the_estimate_knows_that_there_are_no_regions(whole: Bundle, photos: Path) -> None:
    found = estimate(photos, whole)
    assert found.photos == 12 and found.seconds > 0
    with_regions = estimate(photos, Bundle.load(write_tiny_bundle(photos.parent / "three")))
    assert found.disk < with_regions.disk


def test_an_index_keeps_its_model(whole: Bundle, photos: Path, tmp_path: Path) -> None:
    """The second time, the model need not be named; another one is refused."""
    to = tmp_path / "index"
    index_folder(photos, to, whole)
    save_photo(photos / "new.png", COLOURS["red"], seed=99)
    assert index_folder(photos, to).added == 1
    assert read_manifest(to).bundle == whole.id
    with pytest.raises(IndexingError, match="made with bundle tiny"):
        index_folder(photos, to, Bundle.load())


def test_what_an_index_has(whole: Bundle, photos: Path, tmp_path: Path) -> None:
    to = tmp_path / "index"
    index_folder(photos, to, whole)
    found = describe_index(to)
    assert (found["photos"], found["count"]) == (str(photos), 12)
    assert (found["model"], found["languages"]) == ("tiny", ["en"])
    assert found["levels"] == {"context": 1.0}
    with hgan.open_index(to) as index:  # which locks it
        assert describe_index(to)["model"] == "tiny"
        assert index.bundle.languages == ("en",)
