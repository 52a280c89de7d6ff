"""Folding near-duplicates: groups compared with a plain loop, copies, chains."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hgan.index.store.contract import Entry, Point
from hgan.search.duplicates import NEAR, fold


def points(angles: list[float], digests: list[str] | None = None) -> list[Point]:
    """Dense vectors in a plane, of different lengths."""
    return [
        Point(
            Entry(f"{i}.jpg", 1, 1, digests[i] if digests else f"{i}"),
            (1 + i) * np.array([np.cos(angle), np.sin(angle)], np.float32),
            np.zeros((1, 2), np.float32),
        )
        for i, angle in enumerate(angles)
    ]


@given(
    angles=st.lists(st.floats(0, 1), max_size=20),
    copies=st.lists(st.integers(0, 5), min_size=20, max_size=20),
)
def test_groups_are_those_of_a_plain_loop(angles, copies):
    made = points(angles, [str(copy) for copy in copies])
    expected: list[list[int]] = []
    for i, point in enumerate(made):
        for group in expected:
            first = made[group[0]]
            product = float(first.dense @ point.dense)
            cosine = product / np.linalg.norm(first.dense) / np.linalg.norm(point.dense)
            if cosine >= NEAR or first.entry.digest == point.entry.digest:
                group.append(i)
                break
        else:
            expected.append([i])
    assert fold(made, len(made)) == expected
    assert fold(made, 2) == expected[:2]


def test_a_chain_does_not_join_its_ends():
    step = 0.9 * np.arccos(NEAR)
    assert fold(points([0, step, 2 * step]), 9) == [[0, 1], [2]]


def test_without_dense_vectors_copies_alone_are_folded():
    made = [replace(point, dense=np.zeros(0)) for point in points([0, 0, 0], ["a", "b", "a"])]
    assert fold(made, 9) == [[0, 2], [1]]
    assert fold([], 9) == []
