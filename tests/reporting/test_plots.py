"""What the plots show; that they are written is the report's test."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.reporting.plots import COLOURS, MARKERS, length_bins, recall_curve
from hgan.reporting.records import recall


@given(st.lists(st.integers(0, 300), min_size=1, max_size=50))
def test_a_recall_curve_is_recall_at_each_cutoff(ranks: list[int]) -> None:
    found = recall_curve(np.array(ranks))
    assert found == pytest.approx([recall(np.array(ranks), k) for k in range(1, 101)])


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80))
def test_each_caption_is_in_one_bin(words: list[int]) -> None:
    bins = length_bins(np.array(words))
    assert 1 <= len(bins) <= 6
    assert (np.sum(list(bins.values()), axis=0) == 1).all()
    assert all(inside.any() for inside in bins.values())


def test_bins_are_labelled_with_the_words_they_hold() -> None:
    assert list(length_bins(np.array([3, 3, 3]))) == ["3"]
    assert list(length_bins(np.array([1, 2, 3, 4, 5, 9]))) == ["1", "2", "3", "4", "5 to 9"]


def test_no_two_of_many_systems_look_alike() -> None:
    pairs = {(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i in range(56)}
    assert len(pairs) == 56
