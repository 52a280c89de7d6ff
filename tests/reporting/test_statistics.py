"""Means, deviations, and the paired interval compared with a plain bootstrap."""

from pathlib import Path

import numpy as np
import pytest

from hgan.data.captions.read import read_captions
from hgan.evaluation.types import CUTOFFS
from hgan.reporting.records import Record, find_records
from hgan.reporting.statistics import SEED, paired_difference, spread
from tests.fixtures.records import write_captions, write_run


def test_spread_is_the_deviation_of_a_sample() -> None:
    found = spread([1.0, 2.0, 3.0])
    assert (found.mean, found.deviation) == (2.0, 1.0)
    assert str(found) == "2.0 ± 1.0"
    assert str(spread([2.0])) == "2.0"


@pytest.fixture
def made(tmp_path: Path) -> tuple[dict[str, list[Record]], np.ndarray]:
    captions = write_captions(tmp_path / "data")
    for name, noise, seeds in (("good", 0.5, 2), ("bad", 1.0, 3), ("near", 0.51, 1)):
        for seed in range(seeds):
            write_run(tmp_path / "runs" / name, captions, seed, noise)
    systems, _ = find_records([tmp_path / "runs"], "test")
    return systems, read_captions(captions).split("test").image_of


def naive_rsum(record: Record, photos: np.ndarray, image_of: np.ndarray) -> float:
    """rSum of drawn photos and all their captions, query by query."""
    of_images, of_texts = record.final_ranks
    image_ranks = [of_images[photo] for photo in photos]
    text_ranks = [of_texts[t] for photo in photos for t in np.flatnonzero(image_of == photo)]
    return sum(
        100.0 * sum(rank < k for rank in ranks) / len(ranks)
        for ranks in (image_ranks, text_ranks)
        for k in CUTOFFS
    )


def test_the_interval_equals_that_of_the_naive_twin(
    made: tuple[dict[str, list[Record]], np.ndarray],
) -> None:
    systems, image_of = made
    ours, theirs = systems["good"], systems["bad"]
    found = paired_difference(ours, theirs, image_of, resamples=300)
    rng = np.random.default_rng(SEED)
    differences = []
    for _ in range(300):
        times = rng.multinomial(30, np.full(30, 1 / 30))
        photos = np.repeat(np.arange(30), times)
        means = [
            np.mean([naive_rsum(record, photos, image_of) for record in records])
            for records in (ours, theirs)
        ]
        differences.append(means[0] - means[1])
    assert (found.low, found.high) == pytest.approx(np.quantile(differences, [0.025, 0.975]))
    stated = [np.mean([r.metrics("full")["rsum"] for r in records]) for records in (ours, theirs)]
    assert found.mean == pytest.approx(stated[0] - stated[1])
    assert 0 < found.low < found.mean < found.high


def test_a_system_does_not_differ_from_itself(
    made: tuple[dict[str, list[Record]], np.ndarray],
) -> None:
    systems, image_of = made
    found = paired_difference(systems["good"], systems["good"], image_of, resamples=50)
    assert (found.low, found.mean, found.high) == (0.0, 0.0, 0.0)


def test_the_other_way_round_is_the_negative(
    made: tuple[dict[str, list[Record]], np.ndarray],
) -> None:
    systems, image_of = made
    there = paired_difference(systems["good"], systems["near"], image_of)
    back = paired_difference(systems["near"], systems["good"], image_of)
    assert (back.mean, back.low) == pytest.approx((-there.mean, -there.high))
