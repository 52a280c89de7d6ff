"""COCO at its real size: our figures against those that the package `eccv_caption` computes.

The captions and ids are those of SCAN's testall lists. The scores are whole numbers, small enough
for float32 to hold them exactly, and no two of a query are equal.
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from eccv_caption import Metrics

from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.encoded import Encoded
from hgan.errors import DataError
from hgan.evaluation.coco import coco_ids
from hgan.evaluation.protocols import Measured, measure
from hgan.evaluation.scoring import Member, Scores
from tests.fixtures.networks import network

FOLD = 1000
Vectors = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def captions() -> Captions:
    folder = Path(os.environ.get("HGAN_DATA", "data")) / "scan_text" / "coco"
    if not (folder / "testall_caps.txt").is_file():
        pytest.skip(f"SCAN's lists of COCO are not at {folder}; set HGAN_DATA")
    return read_captions(folder).split("test")


@pytest.fixture(scope="module")
def vectors(captions: Captions) -> Vectors:
    """Whole numbers whose products rank captions and photos; half of a caption is its photo's.

    The last two columns add a number of the photo's own and one of the caption's own, less
    together than any difference of the rest: no ties.
    """
    rng = np.random.default_rng(0)
    photos, texts = len(captions.images), len(captions.texts)
    images = rng.integers(-3, 4, (photos, 24))
    own = images[captions.image_of]
    words = np.where(rng.random(own.shape) < 0.5, own, rng.integers(-3, 4, own.shape))
    images = np.column_stack([images << 15, rng.permutation(photos), np.ones(photos, int)])
    words = np.column_stack([words, np.ones(texts, int), rng.permutation(texts)])
    return images, words


@pytest.fixture(scope="module")
def measured(captions: Captions, vectors: Vectors) -> Measured:
    model = network(levels=["context"], mfar=False, image_graph=False, text_graph=False)
    images, texts = (
        Encoded(
            torch.from_numpy(rows).float(),
            torch.zeros(len(rows), 0, 0),
            torch.zeros(len(rows), 0, 0),
            torch.zeros(len(rows), 0, dtype=torch.bool),
        )
        for rows in vectors
    )
    scores = Scores([Member(model, images, texts)])
    return measure(scores, captions, ["coco-5k", "coco-1k", "eccv", "cxc"])


def first(queries: np.ndarray, candidates: np.ndarray, k: int) -> np.ndarray:
    """(Q, k) positions of the k best candidates, by a sort of whole numbers."""
    found = []
    for chunk in np.array_split(queries, 20):
        scores = chunk.astype(float) @ candidates.T.astype(float)  # exact
        best = np.argpartition(-scores, k, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
        found.append(np.take_along_axis(best, order, 1))
    return np.concatenate(found)


Lists = dict[int, list[int]]


@pytest.fixture(scope="module")
def lists(captions: Captions, vectors: Vectors) -> tuple[Lists, Lists]:
    """The 50 best of all candidates, by COCO's ids."""
    (image_ids, text_ids), (images, texts) = coco_ids(captions), vectors
    to_texts, to_images = first(images, texts, 50), first(texts, images, 50)
    return (
        dict(zip(image_ids.tolist(), text_ids[to_texts].tolist(), strict=True)),
        dict(zip(text_ids.tolist(), image_ids[to_images].tolist(), strict=True)),
    )


def recalls(found: dict[str, dict[str, float]], name: str, way: str) -> list[float]:
    return [100 * float(found[f"{name}_r{k}"][way]) for k in (1, 5, 10)]


WAYS = (("image_to_text", "i2t"), ("text_to_image", "t2i"))


@pytest.mark.slow
def test_recall_on_all_5000_is_the_packages(measured: Measured, lists: tuple[Lists, Lists]) -> None:
    found = Metrics().compute_all_metrics(*lists, target_metrics=["coco_5k_recalls"])
    for ours, theirs in WAYS:
        expected = recalls(found, "coco_5k", theirs)
        assert 10 < expected[0] < 90  # neither blind nor perfect
        for name in ("full", "coco-5k"):
            recall = measured.protocols[name]["context"][ours]["recall"]
            assert list(recall.values()) == pytest.approx(expected)
    assert measured.ranks["context"].tied == 0


@pytest.mark.slow
def test_recall_on_five_folds_is_the_packages(
    captions: Captions, vectors: Vectors, measured: Measured
) -> None:
    (image_ids, text_ids), (images, texts) = coco_ids(captions), vectors
    to_texts: Lists = {}
    to_images: Lists = {}
    for start in range(0, 5000, FOLD):
        rows, columns = slice(start, start + FOLD), slice(5 * start, 5 * (start + FOLD))
        chosen = text_ids[columns][first(images[rows], texts[columns], 10)]
        to_texts |= dict(zip(image_ids[rows].tolist(), chosen.tolist(), strict=True))
        chosen = image_ids[rows][first(texts[columns], images[rows], 10)]
        to_images |= dict(zip(text_ids[columns].tolist(), chosen.tolist(), strict=True))
    found = Metrics().compute_all_metrics(to_texts, to_images, target_metrics=["coco_1k_recalls"])
    for ours, theirs in WAYS:
        recall = measured.protocols["coco-1k"]["context"][ours]["recall"]
        assert list(recall.values()) == pytest.approx(recalls(found, "coco_1k", theirs))


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["eccv", "cxc"])
def test_figures_with_more_right_answers_are_those_by_hand(
    protocol: str, measured: Measured, lists: tuple[Lists, Lists]
) -> None:
    package = Metrics()
    truths = package.eccv_gts if protocol == "eccv" else package.cxc_gts
    for (ours, theirs), found in zip(WAYS, lists, strict=True):
        values: dict[str, list[float]] = {}
        for query, answers in truths[theirs].items():
            hits = [candidate in answers for candidate in found[query]]
            r = len(set(answers))
            precision = [sum(hits[:i]) / i for i in range(1, r + 1)]
            for name, value in {
                "R@1": hits[0],
                "R@5": any(hits[:5]),
                "R@10": any(hits[:10]),
                "R-P": precision[-1],
                "mAP@R": sum(p for p, hit in zip(precision, hits, strict=False) if hit) / r,
            }.items():
                values.setdefault(name, []).append(float(value))
        figures = measured.protocols[protocol]["context"][ours]
        assert list(figures) == (
            ["R@1", "R-P", "mAP@R"] if protocol == "eccv" else ["R@1", "R@5", "R@10"]
        )
        for name, figure in figures.items():
            assert figure == pytest.approx(100 * np.mean(values[name]))


def test_the_fields_order_gives_the_captions_their_ids(captions: Captions) -> None:
    image_ids, text_ids = coco_ids(captions)
    assert (len(image_ids), len(text_ids)) == (5000, 25_000)
    truth = Metrics().coco_gts["t2i"]
    owners = image_ids[captions.image_of]
    assert [truth[t] for t in text_ids.tolist()] == [[i] for i in owners.tolist()]
    named = [f"val2014/COCO_val2014_{i:012}.jpg" for i in image_ids.tolist()]
    again = coco_ids(replace(captions, images=named))
    assert np.array_equal(again[0], image_ids) and np.array_equal(again[1], text_ids)


def test_ids_of_the_file_are_taken_in_any_order(captions: Captions) -> None:
    image_ids, text_ids = coco_ids(captions)
    order = np.random.default_rng(1).permutation(len(text_ids))
    mixed = replace(captions, image_of=captions.image_of[order])
    with pytest.raises(DataError, match="not in the order of SCAN's testall_caps"):
        coco_ids(mixed)
    with_ids = replace(mixed, image_ids=image_ids, caption_ids=text_ids[order])
    assert np.array_equal(coco_ids(with_ids)[1], text_ids[order])
    with pytest.raises(DataError, match="does not have 1 of the 25,000"):
        coco_ids(replace(with_ids, caption_ids=np.append(text_ids[1:], -1)))


def test_another_data_set_is_refused(captions: Captions) -> None:
    photos = [f"{i}.jpg" for i in range(4)] + [captions.images[0]]
    other = Captions(photos, ["a dog"] * 5, np.arange(5), ["test"] * 5)
    with pytest.raises(DataError, match=r"Karpathy's COCO test split .* 1 of them among its 5"):
        coco_ids(other)
