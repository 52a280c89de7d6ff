"""Batches that are made in a thread: the same as without, in the same order, with their errors."""

from threading import get_ident

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.data.batches.prefetch import prefetch


@given(st.lists(st.integers() | st.none(), max_size=20), st.integers(1, 5))
def test_the_same_items(items, ahead):
    assert list(prefetch(iter(items), ahead)) == items


def test_they_are_made_in_another_thread_and_not_too_early():
    made = []

    def items():
        for number in range(10):
            made.append(get_ident())
            yield number

    ahead = prefetch(items(), 2)
    assert made == []
    assert next(ahead) == 0
    ahead.close()  # waits for the thread
    assert 1 <= len(made) <= 3
    assert get_ident() not in made


def test_an_error_comes_in_its_place():
    def items():
        yield 1
        raise ValueError("two")

    ahead = prefetch(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="two"):
        next(ahead)
