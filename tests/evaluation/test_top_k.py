"""The k best candidates, updated tile by tile, compared with a sort of the whole matrix."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hgan.evaluation.ranking import tiles
from hgan.evaluation.top_k import TopK


def naive(scores: list[list[float]], k: int) -> list[list[int]]:
    """Python's sort, which is stable: of equal scores, the lower position stands first."""
    return [sorted(range(len(row)), key=lambda c: -row[c])[:k] for row in scores]


def top_k(scores: Tensor, k: int, tile: tuple[int, int]) -> TopK:
    photos, texts = scores.shape
    found = TopK(photos, texts, k)
    for rows, columns in tiles(photos, texts, tile):
        found.add(scores[rows, columns], rows, columns)
    return found


sizes = st.integers(1, 9)


@given(sizes, st.integers(1, 12), sizes, st.tuples(sizes, sizes), st.sampled_from([1, 2, 4, 1000]))
def test_equals_a_sort_for_any_tile(
    photos: int, texts: int, k: int, tile: tuple[int, int], levels: int
) -> None:
    rng = torch.Generator().manual_seed(photos + texts)
    scores = torch.randint(levels, (photos, texts), generator=rng) / levels - 0.5
    found = top_k(scores, k, tile)
    assert found.texts.tolist() == naive(scores.tolist(), k)
    assert found.images.tolist() == naive(scores.T.tolist(), k)


def test_fewer_candidates_than_asked_for() -> None:
    found = top_k(torch.rand(2, 3), 5, (1, 1))
    assert found.texts.shape == (2, 3) and found.images.shape == (3, 2)
    assert found.texts.sort(1).values.tolist() == [[0, 1, 2]] * 2


def test_zero_of_either_sign_is_one_score() -> None:
    scores = torch.tensor([[-0.0, 0.0, -1e-45, 1e-45]])
    assert top_k(scores, 4, (1, 4)).texts.tolist() == [[3, 0, 1, 2]]
