"""Texts in an index: what is read, searches by photo and by words, and the exact S of both."""

import json
from pathlib import Path

import numpy as np
import pytest

import hgan
from hgan.cli import main
from hgan.encoded import Encoded
from hgan.errors import BundleError, DataError, HganError, IndexingError
from hgan.index.conditions.filter import Filter
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.sentences import LONGEST, find_sentences
from hgan.index.texts import index_texts
from hgan.runtime.bundle import Bundle
from hgan.runtime.images import open_photo
from hgan.runtime.preprocessing import Preprocessing
from hgan.runtime.similarity import score_levels
from hgan.search.query import WITHOUT, Query
from hgan.search.searcher import open_index
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.qdrant_proxy import new_server
from tests.fixtures.tiny_bundle import SIZE, write_tiny_bundle

# What float16 in the index costs.
HALF = 3e-3

CAPTIONS = {
    "red.png": ["a red photo", "two dogs in red snow", "red"],
    "green.png": ["a green photo", "the green dog"],
    "sub/blue.png": ["a blue photo of two dogs in the snow", "blue blue snow"],
}


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    file = tmp_path / "captions.jsonl"
    rows = [
        {"image": image, "captions": texts, "split": "test" if "red" in image else "train"}
        for image, texts in CAPTIONS.items()
    ]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return save_photo(tmp_path / "query.png", COLOURS["blue"], seed=3)


def naive_photo(bundle: Bundle, text: str, photo: Path) -> dict[str, float]:
    """S and levels of one pair, by encoding both again: the words ask, the photo answers."""
    image = bundle.encode_images([Preprocessing(SIZE).pixels(open_photo(photo))])
    scores = score_levels(image, bundle.encode_texts([text]), bundle.config.weights)
    return {"S": float(scores.total[0, 0])} | {
        name: float(value[0, 0]) for name, value in scores.levels.items()
    }


def naive_text(bundle: Bundle, text: str, query: str) -> float:
    """S of two sentences, in loops: the query's words ask, the other's, of length one, answer."""
    a, b = bundle.encode_texts([query]), bundle.encode_texts([text])
    weights = bundle.config.weights
    total = weights["context"] * float(a.context[0] @ b.context[0])
    slots = [float(x @ y) for x, y in zip(a.slots[0], b.slots[0], strict=True)]
    total += weights["shared"] * sum(slots) / len(slots)
    best = [
        max(float(word @ (other / np.linalg.norm(other))) for other in b.local[0][b.mask[0]])
        for word in a.local[0][a.mask[0]]
    ]
    return total + weights["local"] * sum(best) / len(best)


class WeightedWords(Bundle):
    """A bundle whose words have lengths, as those of models that weigh words."""

    def encode_texts(self, texts):  # type: ignore[no-untyped-def]
        encoded = super().encode_texts(texts)
        lengths = 0.4 + 0.3 * (np.arange(encoded.local.shape[1]) % 4)
        local = (encoded.local * lengths[None, :, None]).astype(np.float32)
        return Encoded(encoded.context, encoded.slots, local, encoded.mask)


@pytest.fixture(params=[Bundle, WeightedWords])
def model(request, bundle) -> Bundle:
    return request.param(bundle.folder, bundle.config, bundle.id)


@pytest.fixture(params=["folder", "server"])
def place(request, tmp_path, monkeypatch) -> str:
    made = new_server()
    monkeypatch.setattr("hgan.index.store.server.connect", lambda _settings: made)
    return str(tmp_path / "index") if request.param == "folder" else "http://qdrant:6333/texts"


def test_a_photo_finds_captions_by_the_models_own_score(captions, photo, place, model):
    assert index_texts(captions, place, model) == IndexReport(added=7)
    with open_index(place, model) as index:
        assert (index.holds, index.root, len(index)) == ("texts", captions, 7)
        hits = index.search_image(photo, k=10)
    assert {hit.text for hit in hits} == {text for texts in CAPTIONS.values() for text in texts}
    assert hits[0].text in CAPTIONS["sub/blue.png"]
    for hit in hits:
        assert hit.text in CAPTIONS[hit.path.as_posix()]
        expected = naive_photo(model, hit.text, photo)
        assert hit.score == pytest.approx(expected.pop("S"), abs=HALF)
        assert hit.levels == pytest.approx(expected, abs=2 * HALF)


def test_words_find_captions(captions, place, model):
    index_texts(captions, place, model)
    with open_index(place, model) as index:
        hits = index.search("the green dog", k=10)
    assert hits[0].text == "the green dog"
    for hit in hits:
        expected = naive_text(model, hit.text, "the green dog")
        assert hit.score == pytest.approx(expected, abs=2 * HALF)


def test_parts_of_a_query_add_up(captions, photo, place, model):
    index_texts(captions, place, model)
    query = Query("two dogs", photo, without=("red",), photo_share=0.3)
    with open_index(place, model) as index:
        hits = index.find(query, 10)
        liked = index.find(Query(like=hits[2].id), 10)
    for hit in hits:
        expected = 0.3 * naive_photo(model, hit.text, photo)["S"]
        expected += 0.7 * naive_text(model, hit.text, "two dogs")
        expected += WITHOUT * naive_text(model, hit.text, "red")
        assert hit.score == pytest.approx(expected, abs=2 * HALF)
    assert len(liked) == 6
    for hit in liked:
        expected = naive_text(model, hit.text, hits[2].text)
        assert hit.score == pytest.approx(expected, abs=2 * HALF)


@pytest.mark.parametrize("level", ["context", "shared", "local"])
def test_model_of_one_level(captions, photo, tmp_path, level):
    weights = {name: float(name == level) for name in ("context", "shared", "local")}
    model = Bundle.load(write_tiny_bundle(tmp_path / "one", weights=weights))
    index_texts(captions, tmp_path / "index", model)
    with open_index(tmp_path / "index") as index:
        hits = index.search_image(photo, k=10)
    assert len(hits) == 7
    for hit in hits:
        assert set(hit.levels) == {level}
        assert hit.score == pytest.approx(naive_photo(model, hit.text, photo)["S"], abs=HALF)


def test_a_second_run_encodes_what_is_new(captions, tmp_path, bundle, monkeypatch):
    to = tmp_path / "index"
    index_texts(captions, to, bundle)
    with monkeypatch.context() as patch:
        patch.setattr(Bundle, "encode_texts", None)
        assert index_texts(captions, to, bundle) == IndexReport(unchanged=7)
    lines = captions.read_text().splitlines()
    new = {"image": "new.png", "captions": ["white snow", "a red photo"]}
    changed = json.loads(lines[0]) | {"split": "val"}
    captions.write_text("\n".join([json.dumps(new), lines[1], json.dumps(changed)]))
    report = index_texts(captions, to, bundle)
    assert report == IndexReport(added=2, updated=3, removed=2, unchanged=2)
    with open_index(to, bundle) as index:
        found = {(hit.text, hit.path.as_posix()) for hit in index.search("red", k=50)}
        by_split = index.search("red", k=50, where=Filter.parse(["tag=val"]))
    assert ("a red photo", "new.png") in found
    assert ("a red photo", "red.png") in found
    assert len(found) == 7
    assert {hit.path.as_posix() for hit in by_split} == {"red.png"}


def test_a_run_that_is_cut_is_continued(captions, tmp_path, bundle, monkeypatch):
    to = tmp_path / "index"
    with monkeypatch.context() as patch:
        patch.setattr("hgan.index.texts.TEXT_BATCH", 2)
        upsert, calls = hgan.index.store.edge.EdgeStore.upsert, []

        def cut(store, points):
            if len(calls) == 2:
                raise KeyboardInterrupt
            calls.append(points)
            upsert(store, points)

        patch.setattr("hgan.index.store.edge.EdgeStore.upsert", cut)
        with pytest.raises(KeyboardInterrupt):
            index_texts(captions, to, bundle)
    assert index_texts(captions, to, bundle) == IndexReport(added=3, unchanged=4)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "a dog\n\n  two dogs \r\na dog\n", [("", "a dog"), ("", "two dogs")]),
        ("a.csv", "image,caption\nx.jpg,a dog\nx.jpg,b\n", [("x.jpg", "a dog"), ("x.jpg", "b")]),
        ("f.token.txt", "x.jpg#0\ta dog\nx.jpg#1\tb\n", [("x.jpg", "a dog"), ("x.jpg", "b")]),
        (
            "a.jsonl",
            '{"image": "x.jpg", "captions": ["ö", "b"]}\n',
            [("x.jpg", "ö"), ("x.jpg", "b")],
        ),
    ],
)
def test_forms(tmp_path, name, content, expected):
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    skipped: dict[str, str] = {}
    found = find_sentences(file, skipped)
    assert [(entry.path, entry.text) for entry in found] == expected
    assert skipped == ({"a.txt:4": "the same sentence as a.txt:1"} if name == "a.txt" else {})


def test_what_is_no_sentence_is_skipped_and_listed(tmp_path, bundle):
    file = tmp_path / "captions.jsonl"
    rows = ['{"image": "a.jpg", "captions": ["red", " "]}', "{", '{"image": "b.jpg"}']
    rows.append(json.dumps({"image": "c.jpg", "captions": ["x" * (LONGEST + 1), "\x00", "blue"]}))
    file.write_text("\n".join(rows))
    report = index_texts(file, tmp_path / "index", bundle)
    assert report.added == 2
    assert len(report.skipped) == 5
    assert any("no words" in reason for reason in report.skipped.values())
    assert any("characters" in reason for reason in report.skipped.values())


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_no_sentence(tmp_path, bundle, content):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(HganError, match="no sentences"):
        index_texts(tmp_path / "a.txt", tmp_path / "index", bundle)
    assert not (tmp_path / "index").exists()


def test_files_that_cannot_be_read(tmp_path, bundle):
    with pytest.raises(DataError, match="no such file"):
        index_texts(tmp_path / "nowhere.txt", tmp_path / "index", bundle)
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        index_texts(tmp_path / "latin.txt", tmp_path / "index", bundle)


def test_photos_and_texts_stay_apart(captions, photos, tmp_path, bundle):
    index_texts(captions, tmp_path / "index", bundle)
    with pytest.raises(IndexingError, match="contains the texts of"):
        index_folder(photos, tmp_path / "index", bundle)
    index_folder(photos, tmp_path / "photos.index", bundle)
    with pytest.raises(IndexingError, match="contains the photos of"):
        index_texts(captions, tmp_path / "photos.index", bundle)
    with (
        open_index(tmp_path / "index", bundle) as index,
        pytest.raises(DataError, match="has this id"),
    ):
        index.find(Query(like="red.png"))


def test_by_command(captions, photo, tmp_path, bundle, capsys):
    to = str(tmp_path / "index")
    made = ["index", str(captions), "--to", to, "--bundle", str(bundle.folder)]
    assert main(made) == 0
    assert capsys.readouterr().out.startswith("7 added, ")
    assert main(["search", "--image", str(photo), "--index", to, "-k", "1"]) == 0
    score, text, named = capsys.readouterr().out.rstrip("\n").split("\t")
    assert text in CAPTIONS[named] and float(score) > 0.5
    assert main(["search", "red", "--index", to, "-k", "2", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["text"] in CAPTIONS[row["path"]] for row in rows] == [True, True]
    sheet = str(tmp_path / "sheet.png")
    assert main(["search", "red", "--index", to, "--sheet", sheet]) == 2
    assert "contact sheet" in capsys.readouterr().err
    for option in (["--watch"], ["--estimate"], ["--regions", "9"]):
        assert main([*made, *option]) == 2
        assert "for photos" in capsys.readouterr().err


def test_texts_are_not_served(captions, tmp_path, bundle):
    from hgan.serve.library import open_library
    from hgan.serve.metrics import Metrics
    from hgan.serve.settings import Settings

    index_texts(captions, tmp_path / "index", bundle)
    with pytest.raises(IndexingError, match="contains texts"):
        open_library(tmp_path / "index", Settings(), Metrics())


def test_the_tower_of_photo_queries_is_checked_before_texts_are_encoded(captions, tmp_path):
    folder = write_tiny_bundle(tmp_path / "bundle")
    (folder / "image.onnx").write_bytes(b"cut short")
    with pytest.raises(BundleError, match=r"image\.onnx: damaged"):
        index_texts(captions, tmp_path / "index", folder)
    assert not (tmp_path / "index").exists()
