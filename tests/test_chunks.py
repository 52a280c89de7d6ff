"""Chunks are consecutive pieces of a list or an array."""

import numpy as np
import pytest

from hgan.chunks import chunks


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("count", [0, 1, 6, 7])
def test_together_they_are_the_whole(count: int, size: int) -> None:
    items = list(range(count))
    found = list(chunks(items, size))
    assert [item for chunk in found for item in chunk] == items
    assert all(len(chunk) == size for chunk in found[:-1])
    assert all(0 < len(chunk) <= size for chunk in found)
    arrays = list(chunks(np.array(items), size))
    assert [array.tolist() for array in arrays] == found
