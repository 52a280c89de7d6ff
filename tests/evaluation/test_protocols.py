"""Protocols: which splits they are for, the mean over folds, and the field's pitfalls in them."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from hgan.data.batches.dataset import Dataset
from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.data.features.store import FeatureStore
from hgan.encoded import Encoded
from hgan.errors import ConfigError, DataError
from hgan.evaluation import protocols as module
from hgan.evaluation.evaluate import evaluate
from hgan.evaluation.metrics import metrics
from hgan.evaluation.protocols import check_protocols, fold_metrics, measure
from hgan.evaluation.ranking import rank
from hgan.evaluation.scoring import Member, Scores, encode
from tests.fixtures.networks import network
from tests.fixtures.tiny_model import tiny_config, tiny_model, write_tiny_data

PHOTOS = 15


@pytest.fixture
def scan_text() -> Path:
    folder = Path(os.environ.get("HGAN_DATA", "data")) / "scan_text"
    if not folder.is_dir():
        pytest.skip(f"SCAN's lists are not at {folder}; set HGAN_DATA")
    return folder


def captions_of(photos: int, each: int = 1) -> Captions:
    names = [f"{i}.jpg" for i in range(photos)]
    image_of = np.repeat(np.arange(photos), each)
    return Captions(names, [f"caption {t}" for t in range(len(image_of))], image_of, ["test"])


def random_scores(captions: Captions, seed: int = 0) -> Scores:
    """A real model's comparison of encodings that were drawn, a caption's near its photo's."""
    rng = torch.Generator().manual_seed(seed)
    image_of = torch.from_numpy(captions.image_of)

    def encoded(context: torch.Tensor) -> Encoded[torch.Tensor]:
        count, none = len(context), torch.zeros(len(context), 0, 0)
        return Encoded(context, none, none, torch.zeros(count, 0, dtype=torch.bool))

    images = torch.randn(len(captions.images), 8, generator=rng)
    texts = images[image_of] + torch.randn(len(image_of), 8, generator=rng)
    model = network(levels=["context"], mfar=False, image_graph=False, text_graph=False)
    return Scores([Member(model, encoded(images), encoded(texts))])


def test_the_mean_over_folds_is_that_of_folds_evaluated_one_by_one(tmp_path: Path) -> None:
    """Every figure by its name, from photos and captions that are read and encoded apart.

    The references print the mean of one figure under the name of another.
    """
    write_tiny_data(tmp_path, train=2, val=PHOTOS, test=2)
    config = tiny_config(tmp_path)
    model = tiny_model(config)
    model.network.eval()
    store = FeatureStore(config.data.features)
    read = read_captions(config.data.captions).split("val")
    mixed = np.random.default_rng(0).permutation(len(read.texts))  # a fold's lie apart
    texts, image_of = [read.texts[t] for t in mixed], read.image_of[mixed]
    captions = Captions(read.images, texts, image_of, read.splits)
    data = Dataset(captions, store, model.tokenizer, 16)
    scores = Scores([Member(model.network, *encode(model.network, data))])
    found = fold_metrics(scores, captions.image_of, PHOTOS)

    alone = []
    for first in range(0, PHOTOS, 3):
        kept = [t for t in range(len(texts)) if first <= image_of[t] < first + 3]
        fold = Captions(
            captions.images[first : first + 3],
            [texts[t] for t in kept],
            image_of[kept] - first,
            ["val"] * 3,
        )
        alone.append(evaluate(model.network, Dataset(fold, store, model.tokenizer, 16)))
    assert len(alone) == 5 and list(found) == ["context", "shared", "local", "S"]
    for level, mean in found.items():
        parts = [fold[level] for fold in alone]
        for way in ("image_to_text", "text_to_image"):
            ours, theirs = getattr(mean, way), [getattr(part, way) for part in parts]
            for name in ("R@1", "R@5", "R@10"):
                assert ours.recall[name] == pytest.approx(np.mean([t.recall[name] for t in theirs]))
            assert ours.median_rank == pytest.approx(np.mean([t.median_rank for t in theirs]))
            assert ours.mean_rank == pytest.approx(np.mean([t.mean_rank for t in theirs]))
        assert mean.rsum == pytest.approx(np.mean([part.rsum for part in parts]))
        assert mean.tied == sum(part.tied for part in parts)


def test_every_protocol_names_the_split_it_is_for() -> None:
    check_protocols(captions_of(7), ["full"])
    check_protocols(captions_of(1000, 5), ["full", "flickr30k-1k"])
    check_protocols(captions_of(5000, 5), ["coco-5k", "coco-1k"])
    with pytest.raises(DataError, match="is for 1,000 photos, but this split has 1,014"):
        check_protocols(captions_of(1014), ["flickr30k-1k"])
    with pytest.raises(DataError, match="coco-5k is for 5,000 photos, but this split has 1,000"):
        check_protocols(captions_of(1000), ["coco-5k"])
    for photos in (1000, 6000):
        with pytest.raises(DataError, match=f"5 folds of 1,000 .* has {photos:,}"):
            check_protocols(captions_of(photos), ["coco-1k"])
    with pytest.raises(DataError, match="Karpathy's COCO test split"):
        check_protocols(captions_of(5000, 5), ["cxc"])
    with pytest.raises(ConfigError, match="'coco_1k' is unknown; choose from full, "):
        check_protocols(captions_of(5000, 5), ["coco_1k"])


def test_the_whole_split_is_always_measured() -> None:
    captions = captions_of(1000, 2)
    found = measure(random_scores(captions), captions, ["flickr30k-1k"])
    assert list(found.protocols) == ["full", "flickr30k-1k"]
    assert found.protocols["full"] == found.protocols["flickr30k-1k"]
    again = rank(random_scores(captions), captions.image_of, 1000)["context"]
    assert found.protocols["full"]["context"] == metrics(again).as_dict()
    assert 0 < found.protocols["full"]["context"]["rsum"] < 600


@pytest.mark.parametrize("kept", [1, 3])
def test_ranks_do_not_end_where_the_kept_candidates_do(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recall at 10 is right although fewer candidates are kept; none is ranked by a fill value."""
    captions = captions_of(40, 3)
    expected = measure(random_scores(captions), captions, ["full"])
    monkeypatch.setattr(module, "CANDIDATES", kept)
    found = measure(random_scores(captions), captions, ["full"])
    assert found.top.texts.shape == (40, kept)
    assert found.protocols == expected.protocols
    both = found.ranks["context"], expected.ranks["context"]
    assert np.array_equal(*[ranks.text_to_image for ranks in both])
    assert both[0].image_to_text.max() > 3


def test_the_best_candidates_agree_with_the_ranks() -> None:
    captions = captions_of(60, 2)
    found = measure(random_scores(captions), captions, ["full"])
    ranks = found.ranks["context"]
    right = (found.top.images.numpy() == captions.image_of[:, None]).argmax(1)
    inside = ranks.text_to_image < found.top.images.shape[1]
    assert np.array_equal(right[inside], ranks.text_to_image[inside])
    own = captions.image_of[found.top.texts.numpy()] == np.arange(60)[:, None]
    inside = ranks.image_to_text < found.top.texts.shape[1]
    assert np.array_equal(own.argmax(1)[inside], ranks.image_to_text[inside])


def test_dev_is_not_cut_to_5000_captions(scan_text: Path) -> None:
    """Flickr30k's dev list has 5,070 captions; the references read 5,000 of them."""
    captions = read_captions(scan_text / "f30k").split("dev")
    assert (len(captions.images), len(captions.texts)) == (1014, 5070)
    ranks = measure(random_scores(captions), captions, ["full"]).ranks["context"]
    assert (len(ranks.image_to_text), len(ranks.text_to_image)) == (1014, 5070)
    # The last photos are candidates like others.
    assert (ranks.image_to_text[1000:] < 5).any()


def test_captions_that_cocos_photos_share_are_ties_and_count_against_the_model(
    scan_text: Path,
) -> None:
    """A model that knows every caption by heart still cannot tell whose a shared caption is."""
    captions = read_captions(scan_text / "coco").split("test")
    owners: dict[str, set[int]] = {}
    for text, image in zip(captions.texts, captions.image_of.tolist(), strict=True):
        owners.setdefault(text, set()).add(image)
    shared = {text for text, photos in owners.items() if len(photos) > 1}
    photos = sorted(set().union(*(owners[text] for text in shared)))
    place = {image: i for i, image in enumerate(photos)}
    kept = [t for t, image in enumerate(captions.image_of.tolist()) if image in place]
    texts = [captions.texts[t] for t in kept]
    image_of = np.array([place[captions.image_of[t]] for t in kept])
    knows = torch.tensor([[photo in owners[text] for text in texts] for photo in photos]).float()
    found = rank(lambda r, c: {"S": knows[r, c]}, image_of, len(photos))["S"]
    doubled = [t for t, text in enumerate(texts) if text in shared]
    assert Counter(len(owners[text]) > 1 for text in texts)[True] == len(doubled) == 291
    assert found.tied == len(photos) + 291  # all photos here share a caption
    assert np.flatnonzero(found.text_to_image).tolist() == doubled
    assert metrics(found).image_to_text.recall["R@1"] == 0.0
