"""Recall, rSum, median and mean rank, compared with values computed by hand."""

import json

import numpy as np
import pytest

from hgan.evaluation.metrics import mean_metrics, metrics
from hgan.evaluation.types import Ranks


def test_by_hand() -> None:
    found = metrics(Ranks(np.array([0, 0, 4, 9]), np.array([0, 1, 5, 10, 99]), tied=3))
    one, other = found.image_to_text, found.text_to_image
    assert one.recall == {"R@1": 50.0, "R@5": 75.0, "R@10": 100.0}
    assert other.recall == {"R@1": 20.0, "R@5": 40.0, "R@10": 60.0}
    assert (one.median_rank, one.mean_rank) == (3, 4.25)  # ranks 1 1 5 10, the median 3
    assert (other.median_rank, other.mean_rank) == (6, 24.0)
    assert found.rsum == pytest.approx(345.0)
    assert found.tied == 3


def test_a_perfect_model_reaches_600_and_constant_scores_nothing() -> None:
    best = metrics(Ranks(np.zeros(5), np.zeros(25), tied=0))
    assert best.rsum == 600.0
    assert (best.image_to_text.median_rank, best.text_to_image.mean_rank) == (1, 1.0)
    constant = metrics(Ranks(np.full(100, 495), np.full(500, 99), tied=600))
    assert constant.rsum == 0.0


def test_the_median_of_an_even_number_is_rounded_down() -> None:
    found = metrics(Ranks(np.array([0, 1]), np.array([0, 3]), tied=0))
    assert found.image_to_text.median_rank == 1
    assert found.text_to_image.median_rank == 2


def test_the_mean_over_folds_is_that_of_each_figure() -> None:
    """Each stands under its own name: no figure is read from its neighbour's place."""
    rng = np.random.default_rng(0)
    folds = [
        metrics(Ranks(rng.integers(30, size=20), rng.integers(9, size=90), t)) for t in (1, 2, 4)
    ]
    found, parts = mean_metrics(folds).as_dict(), [fold.as_dict() for fold in folds]
    for way in ("image_to_text", "text_to_image"):
        for name in ("R@1", "R@5", "R@10"):
            mean = sum(part[way]["recall"][name] for part in parts) / 3
            assert found[way]["recall"][name] == pytest.approx(mean)
        for name in ("median_rank", "mean_rank"):
            assert found[way][name] == pytest.approx(sum(part[way][name] for part in parts) / 3)
    recalls = [
        r for way in ("image_to_text", "text_to_image") for r in found[way]["recall"].values()
    ]
    assert found["rsum"] == pytest.approx(sum(recalls)) and found["tied"] == 7


def test_it_goes_into_json() -> None:
    found = metrics(Ranks(np.array([0, 7]), np.array([2]), tied=0))
    values = json.loads(json.dumps(found.as_dict()))
    assert values["image_to_text"]["recall"]["R@10"] == 100.0
    assert values["rsum"] == 50 + 50 + 100 + 0 + 100 + 100
