"""Regions and words are dropped at the given rate, but never all of an item."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hgan.data.batches.augmentation import Augmenter
from hgan.data.batches.tokens import further_pieces, pad, tokenise
from hgan.data.batches.types import ImageBatch, TextBatch
from tests.fixtures.tiny_model import tiny_tokenizer

CLS, SEP, MASK = 2, 3, 4


def augmenter(region_drop: float = 0.0, word_drop: float = 0.0) -> Augmenter:
    size = tiny_tokenizer().get_vocab_size()
    return Augmenter(region_drop, word_drop, MASK, torch.tensor([0, CLS, SEP]), size)


@given(
    rate=st.floats(0, 1),
    rows=st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=5),
    seed=st.integers(0, 999),
)
def test_regions_are_never_all_dropped(rate: float, rows: list[list[bool]], seed: int) -> None:
    mask = torch.tensor(rows)
    batch = ImageBatch(torch.zeros(*mask.shape, 2), torch.zeros(len(mask), 2), mask, torch.zeros(5))
    found = augmenter(region_drop=rate).images(batch, torch.Generator().manual_seed(seed))
    assert (found.mask <= mask).all()  # none is added
    assert torch.equal(found.mask.any(1), mask.any(1))


@given(
    rate=st.floats(0, 1),
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    cached=st.booleans(),
    seed=st.integers(0, 999),
)
def test_words_are_never_all_dropped_and_specials_never(
    rate: float, lengths: list[int], cached: bool, seed: int
) -> None:
    words = [torch.tensor([CLS, *range(5, 5 + n), SEP]) for n in lengths]
    batch = pad(words)
    if cached:
        batch = TextBatch(batch.ids, batch.mask, torch.zeros(*batch.ids.shape, 3))
    found = augmenter(word_drop=rate).texts(batch, torch.Generator().manual_seed(seed))
    special = (batch.ids == CLS) | (batch.ids == SEP)
    assert (found.ids[special] == batch.ids[special]).all() and found.mask[special].all()
    assert (found.mask <= batch.mask).all()
    left = (found.mask.bool() & ~special).sum(1).tolist()
    assert all((n > 0) == (length > 0) for n, length in zip(left, lengths, strict=True))
    if cached:  # the cache belongs to the original words
        assert torch.equal(found.ids, batch.ids)


def test_pieces_of_a_word_are_changed_alike() -> None:
    tokenizer = tiny_tokenizer()
    captions = ["a red dog xyz in the snow", "abcd efg", "the qqqq runs"] * 40
    batch = pad(tokenise(tokenizer, captions, 40))
    continues = further_pieces(tokenizer)
    assert continues.sum() == 26 and continues[batch.ids].any()
    whole = replace(augmenter(word_drop=0.5), continues=continues)
    differ = []
    for change in (whole, augmenter(word_drop=0.5)):
        found = change.texts(batch, torch.Generator().manual_seed(1))
        kept, masked = found.mask.bool(), found.ids == MASK
        inside = continues[batch.ids][:, 1:]  # pairs of a piece and the piece before it
        unlike = (kept[:, 1:] != kept[:, :-1]) | (masked[:, 1:] != masked[:, :-1])
        differ.append(int((unlike & inside).sum()))
    assert differ[0] == 0 < differ[1]


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


@given(
    rate=st.floats(0, 1),
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    seed=st.integers(0, 999),
)
def test_without_a_mask_token_words_are_taken_out(
    rate: float, lengths: list[int], seed: int
) -> None:
    rows = [torch.tensor([CLS, *range(5, 5 + n), SEP]) for n in lengths]
    found = replace(augmenter(word_drop=rate), mask_id=None).texts(
        pad(rows), torch.Generator().manual_seed(seed)
    )
    assert found.ids.shape == found.mask.shape
    for ids, mask, row in zip(found.ids, found.mask.bool(), rows, strict=True):
        left = ids[mask].tolist()
        assert mask.tolist() == sorted(mask.tolist(), reverse=True)  # padding is at the end
        assert (left[0], left[-1]) == (CLS, SEP)
        assert left == sorted(left, key=row.tolist().index)  # in the same order
        assert set(left) <= set(row.tolist()) and len(set(left)) == len(left)
        assert (len(left) > 2) == (len(row) > 2)


def test_words_are_taken_out_at_the_rate() -> None:
    rows = [torch.tensor([CLS, *[7] * 40, SEP])] * 200
    without = replace(augmenter(word_drop=0.3), mask_id=None)
    found = without.texts(pad(rows), torch.Generator().manual_seed(0))
    assert found.mask.sum() / 200 == pytest.approx(2 + 0.7 * 40, abs=0.5)
    assert set(found.ids[found.mask.bool()].tolist()) == {CLS, SEP, 7}  # none is replaced
