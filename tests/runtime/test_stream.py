"""Threaded loading: the order of a plain loop, without failed items, and a bounded look-ahead."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgan.errors import DataError
from hgan.runtime.stream import stream


def load(item: int) -> np.ndarray:
    """Odd sevens are damaged; others take a while that has nothing to do with their order."""
    time.sleep((item * 7919 % 5) / 5000)
    if item % 7 == 3:
        raise DataError(f"{item} is damaged")
    return np.full(2, item)


@settings(max_examples=40)
@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 8))
def test_equals_the_naive_loop(count: int, batch_size: int, threads: int) -> None:
    batches = list(stream(range(count), load, batch_size, threads))
    assert len(batches) == -(-count // batch_size)
    for number, batch in enumerate(batches):
        tried = range(number * batch_size, min(count, (number + 1) * batch_size))
        assert batch.items == [item for item in tried if item % 7 != 3]
        assert [array.tolist() for array in batch.arrays] == [[i, i] for i in batch.items]
        assert [(item, str(error)) for item, error in batch.failed] == [
            (item, f"{item} is damaged") for item in tried if item % 7 == 3
        ]


def test_a_batch_may_hold_failures_alone() -> None:
    batches = list(stream([3, 10, 17, 4], load, batch_size=3))
    assert [(batch.items, len(batch.failed)) for batch in batches] == [([], 3), ([4], 0)]


def test_reads_a_few_batches_ahead_and_no_further() -> None:
    read = 0

    def endless() -> Iterator[int]:
        nonlocal read
        while True:
            read += 1
            yield 0

    batches = stream(endless(), load, batch_size=4, threads=2)
    assert read == 0
    for number in range(1, 6):
        next(batches)
        assert read <= 4 * (number + 2)
    batches.close()  # type: ignore[attr-defined]


def test_loads_in_several_threads_at_once() -> None:
    barrier = threading.Barrier(4, timeout=20)

    def meet(item: int) -> np.ndarray:
        barrier.wait()  # passes only when four are inside
        return np.array(item)

    (batch,) = stream(range(4), meet, batch_size=4, threads=4)
    assert batch.items == [0, 1, 2, 3]


def test_stopping_early_cancels_what_has_not_begun() -> None:
    begun: list[int] = []
    gate = threading.Event()

    def slow(item: int) -> np.ndarray:
        begun.append(item)
        if item >= 4:
            gate.wait(20)
        return np.array(item)

    batches = stream(range(1000), slow, batch_size=4, threads=1)
    assert next(batches).items == [0, 1, 2, 3]
    threading.Timer(0.2, gate.set).start()
    batches.close()  # type: ignore[attr-defined]
    assert len(begun) <= 6  # of the twelve that were read
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


class DefectError(Exception):
    """Not a user's mistake."""


@pytest.mark.parametrize("place", ["items", "load"])
def test_other_errors_come_through_and_end_the_threads(place: str) -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        if place == "items":
            raise DefectError
        yield from range(5, 100)

    def broken(item: int) -> np.ndarray:
        if place == "load" and item == 5:
            raise DefectError
        return np.array(item)

    with pytest.raises(DefectError):
        list(stream(items(), broken, batch_size=2, threads=3))
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]
