"""Tokens and features of a data set are those of the given captions and photos."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hgan.data.batches.dataset import Dataset
from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.data.features.manifest import Manifest
from hgan.data.features.store import FeatureStore, FeatureWriter
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


@pytest.mark.parametrize("trainable", [0, 1, None])
def test_the_pretrained_cache_goes_with_its_captions(
    folder: Path, tmp_path: Path, trainable: int | None
) -> None:
    encoder, tokenizer = load_transformer(str(write_tiny_bert(tmp_path / "bert")))
    encoder.freeze(trainable)
    encoder.keep_pretrained(trainable)
    captions = read_captions(folder / "captions.jsonl").split("val")
    data = Dataset(captions, FeatureStore(folder / "features"), tokenizer, 16)
    data.cache_frozen_states(encoder)
    chosen = [5, 0, 11]
    batch = data.texts(chosen)
    real = batch.mask.bool()
    for row, position in enumerate(chosen):  # the naive twin: one caption at a time
        ids = torch.tensor([tokenizer.encode(captions.texts[position]).ids])
        alone = encoder.encode(ids, torch.ones_like(ids), None)[0].detach()
        found = batch.pretrained_cache[row][real[row]]
        torch.testing.assert_close(found, alone, atol=0.02, rtol=0.01)
    assert (batch.pretrained_cache[~real] == 0).all()
    assert (batch.frozen_cache is None) == (trainable is None)
    # Without a trained layer both are the same, and computed once.
    assert (data.frozen_cache is data.pretrained_cache) == (trainable == 0)
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.pretrained_cache, batch.pretrained_cache)


def test_without_a_kept_encoder_there_is_no_pretrained_cache(data: Dataset) -> None:
    assert data.texts([0, 1]).pretrained_cache is None
    assert data.images([0]).maps is None


def test_maps_are_those_of_the_right_photo_and_view(folder: Path, tmp_path: Path) -> None:
    captions = read_captions(folder / "captions.jsonl").split("val")
    ids = captions.images[::-1]
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(len(ids), 3, 2, 4, 4)).astype(np.float16)
    regions = rng.normal(size=(len(ids), 3, 1, 5)).astype(np.float16)
    manifest = Manifest(
        "net", 32, [[0, 0, 1, 1]], 5, 3, ids, trainable_layers=2, map_shape=[2, 4, 4]
    )
    with FeatureWriter(tmp_path / "store", manifest) as writer:
        writer.write(regions, regions[:, :, 0], {}, maps)
        writer.finish()
    store = FeatureStore(tmp_path / "store", "net", trainable_layers=2)
    data = Dataset(captions, store, tiny_tokenizer(), 16)
    chosen, views = [3, 0, 7], [2, 0, 1]
    found = data.images(chosen, np.array(views)).to(torch.device("cpu"))
    for row, (position, number) in enumerate(zip(chosen, views, strict=True)):
        stored = ids.index(captions.images[position])
        assert np.array_equal(found.maps[row].numpy(), maps[stored, number].astype(np.float32))
        assert np.array_equal(found.regions[row].numpy(), regions[stored, number])
    first = data.images(chosen).maps[0].numpy()
    assert np.array_equal(first, maps[ids.index(captions.images[3]), 0])


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
