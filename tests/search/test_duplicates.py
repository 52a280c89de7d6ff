"""Folding near-duplicates: groups compared with a plain loop, copies, chains."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hgan.index.store.contract import Entry, Point
from hgan.runtime.fingerprint import ALIKE, SIDE, distance, from_hex, to_hex
from hgan.search.duplicates import CLOSE, NEAR, fold


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


def with_bits(number: int) -> str:
    """A fingerprint with this number of ones; -1 for none."""
    return "" if number < 0 else to_hex(np.arange(SIDE * SIDE) < number)


def bits_apart(one: Entry, other: Entry) -> float:
    first, second = from_hex(one.fingerprint), from_hex(other.fingerprint)
    return np.inf if first is None or second is None else distance(first, second)


@given(
    angles=st.lists(st.floats(0, 1), max_size=20),
    copies=st.lists(st.integers(0, 5), min_size=20, max_size=20),
    prints=st.lists(st.integers(-1, 90), min_size=20, max_size=20),
)
def test_groups_are_those_of_a_plain_loop(angles, copies, prints):
    made = [
        replace(point, entry=replace(point.entry, fingerprint=with_bits(bits)))
        for point, bits in zip(points(angles, [str(copy) for copy in copies]), prints, strict=False)
    ]
    expected: list[list[int]] = []
    for i, point in enumerate(made):
        for group in expected:
            first = made[group[0]]
            product = float(first.dense @ point.dense)
            cosine = product / np.linalg.norm(first.dense) / np.linalg.norm(point.dense)
            copy = cosine >= CLOSE and bits_apart(first.entry, point.entry) <= ALIKE
            if cosine >= NEAR or copy or first.entry.digest == point.entry.digest:
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


def test_a_fingerprint_alone_makes_no_copy():
    """Photos without edges have the same fingerprint."""
    far, close = np.arccos(CLOSE) + 0.01, np.arccos(CLOSE) - 0.01
    for angle, expected in ((far, [[0], [1]]), (close, [[0, 1]])):
        made = [
            replace(point, entry=replace(point.entry, fingerprint=with_bits(0)))
            for point in points([0, angle])
        ]
        assert fold(made, 9) == expected
