"""MTEB's own tasks, on a few photos in memory: its scores are those of hgan's evaluation."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hgan.errors import ConfigError
from hgan.evaluation.checkpoints import evaluate_checkpoints
from hgan.evaluation.mteb import MTEBSearch
from hgan.runtime.bundle import Bundle
from tests.fixtures.scenes import draw_scene

mteb = pytest.importorskip("mteb", reason="mteb is not installed")

from datasets import Dataset  # noqa: E402  # mteb needs it
from mteb.models.models_protocols import EncoderProtocol, SearchProtocol  # noqa: E402
from mteb.tasks import Flickr30kI2TRetrieval, Flickr30kT2IRetrieval  # noqa: E402

COUNT = 12
WORDS = (
    "a dog",
    "the sea",
    "people on a beach",
    "snow and a house",
    "a street at night",
    "a table",
)
TEXTS = [[f"{WORDS[i % 6]} {i}", f"photo {i} of {WORDS[(i + 1) % 6]}"] for i in range(COUNT)]
ALL_TEXTS = [text for texts in TEXTS for text in texts]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load()


@dataclass
class Data:
    """Photos and captions in the forms of MTEB."""

    photos: Dataset
    texts: Dataset
    texts_of_photo: dict[str, dict[str, int]]
    photo_of_text: dict[str, dict[str, int]]


@pytest.fixture(scope="module")
def data() -> Data:
    keys = [(f"p{i}", f"t{i}-{t}") for i in range(COUNT) for t in range(2)]
    own: dict[str, dict[str, int]] = {}
    for photo, text in keys:
        own.setdefault(photo, {})[text] = 1
    photos = [draw_scene(i).resize((192, 144)) for i in range(COUNT)]
    return Data(
        Dataset.from_dict({"id": list(own), "image": photos, "modality": ["image"] * COUNT}),
        Dataset.from_dict({"id": [text for _, text in keys], "text": ALL_TEXTS}),
        own,
        {text: {photo: 1} for photo, text in keys},
    )


def task(kind: Any, queries: Dataset, corpus: Dataset, relevant: Any, **more: Any) -> Any:
    """A task of MTEB with other data."""
    made = kind()
    split = {"queries": queries, "corpus": corpus, "relevant_docs": relevant, "top_ranked": None}
    made.dataset = {"default": {"test": split | more}}
    made.data_loaded = True
    return made


def scores(model: MTEBSearch, made: Any) -> dict[str, float]:
    result = mteb.evaluate(model, made, cache=None, show_progress_bar=False)
    (found,) = result.task_results[0].scores["test"]
    return found


def both(data: Data, **more: Any) -> tuple[Any, Any]:
    return (
        task(Flickr30kI2TRetrieval, data.photos, data.texts, data.texts_of_photo, **more),
        task(Flickr30kT2IRetrieval, data.texts, data.photos, data.photo_of_text, **more),
    )


@pytest.fixture(scope="module")
def record(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """hgan's own evaluation, of the same photos as lossless files."""
    folder = tmp_path_factory.mktemp("data")
    lines = []
    for i, texts in enumerate(TEXTS):
        draw_scene(i).resize((192, 144)).save(folder / f"{i}.png")
        lines.append({"image": f"{i}.png", "captions": texts, "split": "test"})
    file = folder / "captions.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return evaluate_checkpoints(bundle, captions=file)


@pytest.mark.parametrize("way", ["image_to_text", "text_to_image"])
def test_scores_are_those_of_the_evaluation(
    data: Data, bundle: Bundle, record: dict[str, Any], way: str
) -> None:
    """MTEB's hit rate is the recall of image-text retrieval: one correct answer is enough."""
    levels = record["protocols"]["full"]
    assert levels["S"]["tied"] == 0
    made = both(data)[0 if way == "image_to_text" else 1]
    found = scores(MTEBSearch(bundle), made)
    recall = levels["S"][way]["recall"]
    assert 0 < recall["R@1"] < recall["R@10"]
    for k in (1, 5, 10):
        assert found[f"hit_rate_at_{k}"] == pytest.approx(recall[f"R@{k}"] / 100, abs=1e-5)


def test_every_hit_has_the_full_score(data: Data, bundle: Bundle) -> None:
    """The naive way: all pairs at once, in Python."""
    photos = bundle.encode_image([draw_scene(i).resize((192, 144)) for i in range(COUNT)])
    texts = bundle.encode_text(ALL_TEXTS)
    expected = bundle.similarity(photos, texts)
    assert np.abs(expected - photos.dense @ texts.dense.T).max() > 0.01  # S is more than that
    for made, matrix in zip(both(data), (expected, expected.T), strict=True):
        split = made.dataset["default"]["test"]
        model = MTEBSearch(bundle)
        model.index(split["corpus"], task_metadata=made.metadata)
        hits = model.search(split["queries"], task_metadata=made.metadata, top_k=7)
        for query, row in zip(split["queries"]["id"], matrix, strict=True):
            ranked = sorted(zip(row, split["corpus"]["id"], strict=True), reverse=True)[:7]
            assert list(hits[query]) == [key for _, key in ranked]
            assert list(hits[query].values()) == pytest.approx([s for s, _ in ranked], abs=1e-5)


def test_queries_are_compared_in_batches(
    data: Data, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for made in both(data):
        split = made.dataset["default"]["test"]
        model = MTEBSearch(bundle)
        model.index(split["corpus"], task_metadata=made.metadata)
        whole = model.search(split["queries"], task_metadata=made.metadata, top_k=5)
        monkeypatch.setattr("hgan.evaluation.mteb.QUERIES", 5)
        monkeypatch.setattr("hgan.evaluation.mteb.ROWS", 5)
        parts = model.search(split["queries"], task_metadata=made.metadata, top_k=5)
        assert {key: list(hits) for key, hits in parts.items()} == {
            key: list(hits) for key, hits in whole.items()
        }


def test_candidates_alone_are_ranked(data: Data, bundle: Bundle) -> None:
    candidates = {"p0": ["t3-1", "t0-0"], "p1": ["t1-1"]}
    made = both(data)[0]
    split = made.dataset["default"]["test"]
    model = MTEBSearch(bundle)
    model.index(split["corpus"], task_metadata=made.metadata)
    hits = model.search(
        split["queries"], task_metadata=made.metadata, top_k=9, top_ranked=candidates
    )
    assert {key: set(found) for key, found in hits.items() if found} == {
        "p0": {"t3-1", "t0-0"},
        "p1": {"t1-1"},
    }
    whole = model.search(split["queries"], task_metadata=made.metadata, top_k=99)
    assert hits["p0"] == {key: whole["p0"][key] for key in hits["p0"]}


def test_titles_are_a_part_of_documents(bundle: Bundle, data: Data) -> None:
    corpus = Dataset.from_dict({"id": ["a", "b"], "text": ["dog", "sea"], "title": ["a red", ""]})
    made = both(data)[0]
    model = MTEBSearch(bundle)
    model.index(corpus, task_metadata=made.metadata)
    found = model._corpus
    assert found is not None
    np.testing.assert_allclose(
        found.dense, bundle.encode_text(["a red dog", "sea"]).dense, atol=1e-6
    )


def test_what_mteb_asks_of_a_model(bundle: Bundle) -> None:
    model = MTEBSearch(bundle)
    assert isinstance(model, SearchProtocol) and not isinstance(model, EncoderProtocol)
    meta = model.mteb_model_meta
    assert meta.revision == bundle.id and meta.name == f"hgan/{bundle.name}"
    assert meta.languages == ["eng-Latn"] and list(meta.modalities) == ["image", "text"]


def test_what_cannot_be_compared(bundle: Bundle, data: Data, tmp_path: Path) -> None:
    made = both(data)[0]
    with pytest.raises(ConfigError, match="nothing is indexed"):
        MTEBSearch(bundle).search(data.photos, task_metadata=made.metadata, top_k=3)
    mixed = made.metadata.model_copy(update={"category": "i2it", "name": "Mixed"})
    with pytest.raises(ConfigError, match=r"Mixed: an item has image and text; hgan compares"):
        MTEBSearch(bundle).index(data.texts, task_metadata=mixed)
