"""Tiled ranking compared with loops over the whole matrix; ties, orientation, NaN."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hgan.errors import DataError
from hgan.evaluation.metrics import metrics
from hgan.evaluation.ranking import rank, tiles
from hgan.evaluation.types import Ranks


def naive(scores: list[list[float]], image_of: list[int]) -> tuple[list[int], list[int], int]:
    """Ranks from the whole matrix by counting; no sorting, no tiles."""
    photos, texts = range(len(scores)), range(len(image_of))
    to_text, to_image, tied = [], [], 0
    for i in photos:
        best = max(scores[i][t] for t in texts if image_of[t] == i)
        wrong = [scores[i][t] for t in texts if image_of[t] != i]
        to_text.append(sum(s >= best for s in wrong))
        tied += best in wrong
    for t in texts:
        right = scores[image_of[t]][t]
        wrong = [scores[i][t] for i in photos if i != image_of[t]]
        to_image.append(sum(s >= right for s in wrong))
        tied += right in wrong
    return to_text, to_image, tied


def ranks(scores: Tensor, image_of: list[int], tile: tuple[int, int] = (64, 640)) -> Ranks:
    found = rank(
        lambda rows, columns: {"S": scores[rows, columns]},
        np.array(image_of),
        len(scores),
        tile,
    )
    return found["S"]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, list[int]]:
    """Uneven captions in any order; few distinct scores, so that ties abound, or many."""
    counts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=7))
    image_of = draw(st.permutations([i for i, n in enumerate(counts) for _ in range(n)]))
    levels = draw(st.sampled_from([1, 2, 4, 1000]))
    seed = draw(st.integers(0, 999))
    scores = np.random.default_rng(seed).integers(levels, size=(len(counts), len(image_of)))
    return torch.tensor(scores, dtype=torch.float32) / levels - 0.5, list(image_of)


@given(problems(), st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_equals_the_naive_twin_for_any_tile(
    problem: tuple[Tensor, list[int]], tile: tuple[int, int]
) -> None:
    scores, image_of = problem
    found = ranks(scores, image_of, tile)
    to_text, to_image, tied = naive(scores.tolist(), image_of)
    assert found.image_to_text.tolist() == to_text
    assert found.text_to_image.tolist() == to_image
    assert found.tied == tied


def test_by_hand() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.5], [0.3, 0.2, 0.6]])
    found = ranks(scores, [0, 0, 1])
    assert found.image_to_text.tolist() == [0, 0]
    assert found.text_to_image.tolist() == [0, 1, 0]  # the second caption prefers photo 1
    assert found.tied == 0


def test_orientation_is_given_and_not_guessed() -> None:
    """A square matrix says nothing of which side is which; the ground truth does."""
    scores = torch.tensor([[0.5, 0.9], [0.1, 0.6]])
    found = ranks(scores, [0, 1])
    assert found.image_to_text.tolist() == [1, 0]  # rows are photos
    assert found.text_to_image.tolist() == [0, 1]


def test_constant_scores_rank_last_and_are_all_tied() -> None:
    found = ranks(torch.zeros(4, 8), [i % 4 for i in range(8)])
    assert found.image_to_text.tolist() == [6] * 4  # all wrong captions stand before
    assert found.text_to_image.tolist() == [3] * 8
    assert found.tied == 12
    many = metrics(ranks(torch.zeros(20, 100), [i % 20 for i in range(100)]))
    assert many.rsum == 0.0  # not 600, as where only a higher score counts


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", [(0, 0), (0, 2), (1, 0), (1, 2)])
def test_scores_that_are_not_finite_raise(value: float, where: tuple[int, int]) -> None:
    scores = torch.rand(2, 3)
    scores[where] = value
    for tile in ((64, 640), (1, 1)):
        with pytest.raises(DataError, match=r"S scores of photos .* NaN or infinity"):
            ranks(scores, [0, 1, 1], tile)


@pytest.mark.parametrize("where", ["right answers", "everything"])
def test_nan_does_not_rank_first(where: str) -> None:
    """Sorted, reversed, NaN stands first; counted as "greater than", nothing stands above it."""
    scores = torch.zeros(4, 4) if where == "right answers" else torch.full((4, 4), torch.nan)
    scores.fill_diagonal_(torch.nan)
    with pytest.raises(DataError, match="NaN"):
        ranks(scores, [0, 1, 2, 3])


@pytest.mark.parametrize("tile", [(64, 640), (2, 5)])
def test_a_swapped_matrix_raises(tile: tuple[int, int]) -> None:
    scores = torch.rand(3, 6).T  # captions by photos
    with pytest.raises(DataError, match="rows are photos and columns are captions"):
        rank(
            lambda rows, columns: {"S": scores[columns, rows]},
            np.array([0, 0, 1, 1, 2, 2]),
            3,
            tile,
        )


def test_the_map_is_explicit_and_not_a_fifth_of_the_position() -> None:
    """Captions in any order, their number uneven, or as many as there are photos."""
    for image_of in ([2, 0, 1, 0, 2, 2, 1, 0, 0, 0], [2, 0, 1]):
        scores = torch.rand(3, len(image_of)) / 2
        scores[image_of, range(len(image_of))] += 0.5
        found = ranks(scores, image_of)
        assert found.image_to_text.tolist() == [0] * 3
        assert found.text_to_image.tolist() == [0] * len(image_of)


def test_a_watcher_sees_each_tile_once_in_order() -> None:
    scores = torch.rand(3, 6)
    seen: list[tuple[slice, slice]] = []

    def watch(found: dict[str, Tensor], rows: slice, columns: slice) -> None:
        assert torch.equal(found["S"], scores[rows, columns])
        seen.append((rows, columns))

    image_of = np.array([0, 0, 1, 1, 2, 2])
    rank(lambda rows, columns: {"S": scores[rows, columns]}, image_of, 3, (2, 4), watch)
    assert seen == list(tiles(3, 6, (2, 4)))


def test_a_photo_without_a_caption_raises() -> None:
    with pytest.raises(DataError, match="only 2 of 3 photos have a caption"):
        ranks(torch.rand(3, 2), [0, 2])


def test_several_scores_are_ranked_apart_and_no_tile_is_larger_than_asked() -> None:
    scores = {"a": torch.rand(5, 12), "b": torch.rand(5, 12)}
    asked: list[tuple[int, int]] = []

    def scorer(rows: slice, columns: slice) -> dict[str, Tensor]:
        asked.append((rows.stop - rows.start, columns.stop - columns.start))
        return {name: matrix[rows, columns] for name, matrix in scores.items()}

    image_of = np.arange(12) % 5
    found = rank(scorer, image_of, 5, (2, 5))
    for name, matrix in scores.items():
        to_text, to_image, _ = naive(matrix.tolist(), image_of.tolist())
        assert found[name].image_to_text.tolist() == to_text
        assert found[name].text_to_image.tolist() == to_image
    assert max(rows for rows, _ in asked) == 2 and max(columns for _, columns in asked) == 5


def test_half_precision_scores_rank_as_they_stand() -> None:
    scores = torch.rand(6, 6)
    half = ranks(scores.bfloat16(), list(range(6)))
    to_text, _, _ = naive(scores.bfloat16().float().tolist(), list(range(6)))
    assert half.image_to_text.tolist() == to_text
