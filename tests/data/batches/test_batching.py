"""Image-major batches: every photo once an epoch, captions of their photo, nothing all dropped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hgan.config import OptimConfig
from hgan.data.batches.batching import (
    Augmenter,
    Batch,
    Dataset,
    ImageBatch,
    TextBatch,
    pad,
    training_batches,
)
from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.data.features.store import FeatureStore
from hgan.errors import DataError
from hgan.text.transformer import load_transformer
from tests.fixtures.tiny_model import tiny_tokenizer, write_tiny_bert, write_tiny_data

CLS, SEP, MASK = 2, 3, 4
PLAIN = OptimConfig(batch_images=8, captions_per_image=2, region_drop=0.0, word_drop=0.0)


def augmenter(region_drop: float = 0.0, word_drop: float = 0.0) -> Augmenter:
    size = tiny_tokenizer().get_vocab_size()
    return Augmenter(region_drop, word_drop, MASK, torch.tensor([0, CLS, SEP]), size)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    write_tiny_data(made)
    return made


@pytest.fixture(scope="module")
def data(folder: Path) -> Dataset:
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


def test_every_photo_comes_once_an_epoch(data: Dataset) -> None:
    for number in range(3):
        seen = [i for batch in epoch(data, number=number) for i in photos_of(batch, data)]
        assert sorted(seen) == list(range(32))


def test_the_last_smaller_batch_is_left_out(data: Dataset) -> None:
    batches = epoch(data, replace(PLAIN, batch_images=10))
    assert [len(b.images.regions) for b in batches] == [10, 10, 10]
    all_at_once = epoch(data, replace(PLAIN, batch_images=500))
    assert [len(b.images.regions) for b in all_at_once] == [32]


def test_captions_belong_to_their_photo_and_none_is_drawn_twice(data: Dataset) -> None:
    for batch in epoch(data):
        photos = photos_of(batch, data)
        said = captions_of(batch)
        assert len(said) == len(batch.image_of)
        drawn: dict[int, list[list[int]]] = {}
        for tokens, position in zip(said, batch.image_of.tolist(), strict=True):
            drawn.setdefault(photos[position], []).append(tokens)
        assert set(drawn) == set(photos)
        for photo, texts in drawn.items():
            own = [data.tokens[c].tolist() for c in data.captions_of[photo]]
            assert len(texts) == min(2, len(own))
            assert all(text in own for text in texts)
            assert len({tuple(text) for text in texts}) == len(texts)


def test_over_epochs_every_caption_and_every_view_is_drawn(data: Dataset) -> None:
    said: set[tuple[int, ...]] = set()
    views: set[tuple[int, int]] = set()
    contexts = data.store.context[data.rows].astype(np.float32)
    for number in range(12):
        for batch in epoch(data, number=number):
            said |= {tuple(tokens) for tokens in captions_of(batch)}
            for context in batch.images.context.numpy():
                photo, view = np.argwhere((contexts == context).all(-1))[0]
                views.add((int(photo), int(view)))
    assert said == {tuple(tokens.tolist()) for tokens in data.tokens}
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


@given(
    rate=st.floats(0, 1),
    rows=st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=5),
    seed=st.integers(0, 999),
)
def test_regions_are_never_all_dropped(rate: float, rows: list[list[bool]], seed: int) -> None:
    mask = torch.tensor(rows)
    batch = ImageBatch(torch.zeros(*mask.shape, 2), torch.zeros(len(mask), 2), mask, torch.zeros(5))
    found = augmenter(region_drop=rate).images(batch, torch.Generator().manual_seed(seed))
    assert (found.mask <= mask).all()  # none comes into being
    assert torch.equal(found.mask.any(1), mask.any(1))


@given(
    rate=st.floats(0, 1),
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    ahead=st.booleans(),
    seed=st.integers(0, 999),
)
def test_words_are_never_all_dropped_and_specials_never(
    rate: float, lengths: list[int], ahead: bool, seed: int
) -> None:
    words = [torch.tensor([CLS, *range(5, 5 + n), SEP]) for n in lengths]
    batch = pad(words)
    if ahead:
        batch = TextBatch(batch.ids, batch.mask, torch.zeros(*batch.ids.shape, 3))
    found = augmenter(word_drop=rate).texts(batch, torch.Generator().manual_seed(seed))
    special = (batch.ids == CLS) | (batch.ids == SEP)
    assert (found.ids[special] == batch.ids[special]).all() and found.mask[special].all()
    assert (found.mask <= batch.mask).all()
    left = (found.mask.bool() & ~special).sum(1).tolist()
    assert all((n > 0) == (length > 0) for n, length in zip(left, lengths, strict=True))
    if ahead:  # the states behind the words are as they were: they can only be left out
        assert torch.equal(found.ids, batch.ids)


def test_about_as_many_words_are_changed_as_asked_for() -> None:
    batch = pad([torch.tensor([CLS, *[10] * 50, SEP]) for _ in range(200)])
    found = augmenter(word_drop=0.2).texts(batch, torch.Generator().manual_seed(0))
    words = batch.ids == 10
    masked = ((found.ids == MASK) & words).float().sum() / words.sum()
    gone = ((found.mask == 0) & words).float().sum() / words.sum()
    swapped = ((found.ids != 10) & (found.ids != MASK) & words).float().sum() / words.sum()
    assert masked.item() == pytest.approx(0.1, abs=0.015)
    assert gone.item() == pytest.approx(0.08, abs=0.015)
    assert swapped.item() == pytest.approx(0.02, abs=0.01)


def test_without_augmentation_nothing_changes(data: Dataset) -> None:
    for batch in epoch(data):
        assert batch.images.mask.all()
        assert all(MASK not in tokens for tokens in captions_of(batch))


def test_states_kept_ahead_go_with_their_captions(folder: Path, tmp_path: Path) -> None:
    encoder, tokenizer = load_transformer(str(write_tiny_bert(tmp_path / "bert")))
    encoder.freeze(1)
    captions = read_captions(folder / "captions.jsonl").split("val")
    data = Dataset(captions, FeatureStore(folder / "features"), tokenizer, 16)
    data.keep_states(encoder)
    chosen = [5, 0, 11]
    batch = data.texts(chosen)
    expected = encoder.frozen_states(batch.ids, batch.mask)
    real = batch.mask.bool()
    torch.testing.assert_close(batch.states[real], expected[real], atol=0.02, rtol=0.01)
    assert (batch.states[~real] == 0).all()


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
