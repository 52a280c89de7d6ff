"""The batches of an epoch: every photo once, with its own captions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hgan.config import OptimConfig
from hgan.data.batches.augmentation import Augmenter
from hgan.data.batches.dataset import Dataset
from hgan.data.batches.epoch import training_batches
from hgan.data.batches.types import Batch
from hgan.data.captions.read import read_captions
from hgan.data.features.store import FeatureStore
from tests.fixtures.tiny_model import tiny_tokenizer, write_tiny_data

CLS, SEP, MASK = 2, 3, 4
PLAIN = OptimConfig(batch_images=8, captions_per_image=2, region_drop=0.0, word_drop=0.0)


def augmenter(region_drop: float = 0.0, word_drop: float = 0.0) -> Augmenter:
    size = tiny_tokenizer().get_vocab_size()
    return Augmenter(region_drop, word_drop, MASK, torch.tensor([0, CLS, SEP]), size)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    write_tiny_data(folder)
    captions = read_captions(folder / "captions.jsonl").split("train")
    return Dataset(captions, FeatureStore(folder / "features"), tiny_tokenizer(), 16)


def epoch(
    data: Dataset, config: OptimConfig = PLAIN, seed: int = 1, number: int = 0
) -> list[Batch]:
    drops = augmenter(config.region_drop, config.word_drop)
    return list(training_batches(data, drops, config, seed, number))


def photos_of(batch: Batch, data: Dataset) -> list[int]:
    """Which photo of the data set each of a batch is, told by its features."""
    contexts = data.store.context[data.rows].astype(np.float32)  # (N, V, D)
    found = []
    for context in batch.images.context.numpy():
        where = np.argwhere((contexts == context).all(-1))
        assert len(where) == 1
        found.append(int(where[0, 0]))
    return found


def captions_of(batch: Batch) -> list[list[int]]:
    """Token ids of the batch's captions, in order, without padding."""
    return [
        row[real.bool()].tolist()
        for part in batch.texts
        for row, real in zip(part.ids, part.mask, strict=True)
    ]


def test_every_photo_is_in_an_epoch_once(data: Dataset) -> None:
    for number in range(3):
        seen = [i for batch in epoch(data, number=number) for i in photos_of(batch, data)]
        assert sorted(seen) == list(range(32))


def test_the_last_smaller_batch_is_dropped(data: Dataset) -> None:
    batches = epoch(data, replace(PLAIN, batch_images=10))
    assert [len(b.images.regions) for b in batches] == [10, 10, 10]
    all_at_once = epoch(data, replace(PLAIN, batch_images=500))
    assert [len(b.images.regions) for b in all_at_once] == [32]


def test_captions_belong_to_their_photo_and_none_is_drawn_twice(data: Dataset) -> None:
    for batch in epoch(data):
        photos = photos_of(batch, data)
        chosen = captions_of(batch)
        assert len(chosen) == len(batch.image_of)
        drawn: dict[int, list[list[int]]] = {}
        for tokens, position in zip(chosen, batch.image_of.tolist(), strict=True):
            drawn.setdefault(photos[position], []).append(tokens)
        assert set(drawn) == set(photos)
        for photo, texts in drawn.items():
            own = [data.tokens[c].tolist() for c in data.captions_of[photo]]
            assert len(texts) == min(2, len(own))
            assert all(text in own for text in texts)
            assert len({tuple(text) for text in texts}) == len(texts)


def test_over_epochs_every_caption_and_every_view_is_drawn(data: Dataset) -> None:
    chosen: set[tuple[int, ...]] = set()
    views: set[tuple[int, int]] = set()
    contexts = data.store.context[data.rows].astype(np.float32)
    for number in range(12):
        for batch in epoch(data, number=number):
            chosen |= {tuple(tokens) for tokens in captions_of(batch)}
            for context in batch.images.context.numpy():
                photo, view = np.argwhere((contexts == context).all(-1))[0]
                views.add((int(photo), int(view)))
    assert chosen == {tuple(tokens.tolist()) for tokens in data.tokens}
    assert len(views) == 64


def same(one: list[Batch], other: list[Batch]) -> bool:
    return all(
        torch.equal(a.images.regions, b.images.regions)
        and torch.equal(a.images.mask, b.images.mask)
        and torch.equal(a.image_of, b.image_of)
        and captions_of(a) == captions_of(b)
        for a, b in zip(one, other, strict=True)
    )


def test_an_epoch_depends_on_seed_and_number_alone(data: Dataset) -> None:
    config = replace(PLAIN, region_drop=0.3, word_drop=0.3)
    first = epoch(data, config, seed=3, number=2)
    torch.rand(7)
    np.random.default_rng().random(3)
    assert same(first, epoch(data, config, seed=3, number=2))
    assert not same(first, epoch(data, config, seed=3, number=1))
    assert not same(first, epoch(data, config, seed=4, number=2))


def test_image_major_means_one_row_of_features_for_all_captions_of_a_photo(data: Dataset) -> None:
    (batch, *_) = epoch(data, replace(PLAIN, captions_per_image=3))
    assert batch.images.regions.shape == (8, 4, 16)
    assert len(batch.image_of) > 8


def test_parts_go_by_length_so_that_little_is_padded(data: Dataset) -> None:
    for batch in epoch(data):
        lengths = [len(tokens) for tokens in captions_of(batch)]
        assert lengths == sorted(lengths)
        assert all(part.ids.shape[1] == int(part.mask.sum(1).max()) for part in batch.texts)


def test_without_augmentation_nothing_changes(data: Dataset) -> None:
    for batch in epoch(data):
        assert batch.images.mask.all()
        assert all(MASK not in tokens for tokens in captions_of(batch))
