"""Tokens and features of a data set are those of the given captions and photos."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hgan.data.batches.dataset import Dataset
from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.data.features.store import FeatureStore
from hgan.errors import DataError
from hgan.text.transformer import load_transformer
from tests.fixtures.tiny_model import tiny_tokenizer, write_tiny_bert, write_tiny_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    write_tiny_data(made)
    return made


@pytest.fixture(scope="module")
def data(folder: Path) -> Dataset:
    captions = read_captions(folder / "captions.jsonl").split("train")
    return Dataset(captions, FeatureStore(folder / "features"), tiny_tokenizer(), 16)


def test_the_frozen_cache_goes_with_its_captions(folder: Path, tmp_path: Path) -> None:
    encoder, tokenizer = load_transformer(str(write_tiny_bert(tmp_path / "bert")))
    encoder.freeze(1)
    captions = read_captions(folder / "captions.jsonl").split("val")
    data = Dataset(captions, FeatureStore(folder / "features"), tokenizer, 16)
    data.cache_frozen_states(encoder)
    chosen = [5, 0, 11]
    batch = data.texts(chosen)
    expected = encoder.pretrained_states(batch.ids, batch.mask, encoder.frozen_layers)
    real = batch.mask.bool()
    torch.testing.assert_close(batch.frozen_cache[real], expected[real], atol=0.02, rtol=0.01)
    assert (batch.frozen_cache[~real] == 0).all()


def test_evaluation_reads_view_zero_of_each_photo_in_order(data: Dataset) -> None:
    batch = data.images([4, 2])
    stored = data.store.regions[data.rows[[4, 2]], 0].astype(np.float32)
    assert np.array_equal(batch.regions.numpy(), stored)
    assert batch.mask.all() and torch.equal(batch.boxes, torch.from_numpy(data.store.boxes))
    mirrored = data.images([4, 2], np.array([1, 0]))
    assert np.array_equal(mirrored.regions[1].numpy(), stored[1])
    assert not np.array_equal(mirrored.regions[0].numpy(), stored[0])


def test_reading_a_photo_twice_gives_the_same(data: Dataset) -> None:
    """Nothing is edited in place: boxes and features are as they were at the second access."""
    first, again = data.images([3]), data.images([3])
    assert torch.equal(first.regions, again.regions) and torch.equal(first.boxes, again.boxes)


def test_photos_without_features_are_named(data: Dataset) -> None:
    captions = Captions(["000.jpg", "new.jpg"], ["a", "b"], np.array([0, 1]), ["train", "train"])
    with pytest.raises(DataError, match=r"1 of 2 photos have no features, the first is new\.jpg"):
        Dataset(captions, data.store, tiny_tokenizer(), 16)
