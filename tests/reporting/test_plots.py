"""The content of plots; `test_report.py` tests that they are written."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.text import Text

from hgan.data.captions.read import read_captions
from hgan.evaluation.metrics import recall
from hgan.reporting.plots import (
    COLOURS,
    MARKERS,
    Systems,
    length_bins,
    plot_cost,
    plot_lengths,
    plot_levels,
    plot_recall,
    plot_rsum,
    recall_curve,
)
from hgan.reporting.records import find_records
from tests.fixtures.records import write_captions, write_run


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


def test_every_picture_says_what_it_shows_and_what_it_is_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = write_captions(tmp_path / "data")
    write_run(tmp_path / "runs" / "full", captions)
    write_run(tmp_path / "runs" / "pair", captions, ensemble=["a", "b"])
    systems = find_records([tmp_path / "runs"], "test")[0]
    texts = read_captions(captions).split("test").texts
    drawn: list[Figure] = []
    monkeypatch.setattr(pyplot, "close", drawn.append)
    for draw in (plot_rsum, plot_cost, plot_recall, plot_levels, partial(_lengths, texts)):
        draw(systems, "a long note of the data " * 9, tmp_path / "plot.png")
        figure = drawn.pop()
        words = " ".join(text.get_text() for text in figure.findobj(Text)).split()
        assert " ".join(words).count("a long note of the data") == 9
        assert "pair (ensemble)" in " ".join(words)
        assert figure.get_suptitle()


def _lengths(texts: list[str], systems: Systems, note: str, path: Path) -> None:
    plot_lengths(systems, texts, note, path)


def test_costs_are_labelled_as_people_write_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = write_captions(tmp_path / "data")
    for name, noise in (("full", 1.0), ("alike", 1.01)):
        write_run(tmp_path / "runs" / name, captions, noise=noise)
    drawn: list[Figure] = []
    monkeypatch.setattr(pyplot, "close", drawn.append)
    plot_cost(find_records([tmp_path / "runs"], "test")[0], "note", tmp_path / "plot.png")
    for axes in drawn[0].axes:
        low, high = axes.get_xlim()
        labels = [
            tick.label1.get_text()
            for tick in axes.xaxis.get_major_ticks()
            if low <= tick.get_loc() <= high
        ]
        assert len(labels) >= 2 and len(set(labels)) == len(labels)
        assert not any("e" in label for label in labels)


def test_no_two_of_many_systems_look_alike() -> None:
    pairs = {(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i in range(56)}
    assert len(pairs) == 56
