"""The order of time, page by page, for each engine of `conftest.py`."""

from dataclasses import replace

import numpy as np
import pytest

from hgan.index.conditions.filter import Filter
from hgan.index.store.contract import Entry, Point, Store
from hgan.index.store.timeline import Place, timeline
from tests.fixtures.conditions import passes


def filled(store: Store, times: list[int | None]) -> list[Entry]:
    """Store photos with these times; returns them in the order of the timeline."""
    points = [
        Point(
            Entry(f"{row % 3}/{row}.jpg", 1, 1, f"{row}", taken, file_tags=("a",) * (row % 2)),
            np.ones(2, np.float32),
            np.zeros((1, 0), np.float32),
        )
        for row, taken in enumerate(times)
    ]
    for start in range(0, len(points), 1000):
        store.upsert(points[start : start + 1000])
    entries = [point.entry for point in points]
    return sorted(entries, key=lambda one: (one.taken is None, -(one.taken or 0), one.id))


def pages(store: Store, size: int, where: Filter | None = None) -> list[list[Entry]]:
    found: list[list[Entry]] = []
    after = None
    while page := timeline(store, size, where, after):
        found.append(page)
        after = Place(page[-1].taken, page[-1].id)
    return found


def paths(entries: list[Entry]) -> list[str]:
    return [entry.path for entry in entries]


def test_an_empty_store_has_no_pages(open_store):
    with open_store(dense=2, local=0) as store:
        assert pages(store, 10) == []


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_pages_have_every_photo_once_in_order(open_store, size):
    """Some are of the same second, before 1970, or have no time."""
    times = [None if row % 5 == 0 else (row % 7 - 2) * 1000 for row in range(60)]
    with open_store(dense=2, local=0) as store:
        expected = filled(store, times)
        found = pages(store, size)
    assert [entry for page in found for entry in page] == expected
    assert all(len(page) == size for page in found[:-1])


def test_pages_of_a_filter(open_store):
    times = [None if row % 5 == 0 else row % 7 for row in range(60)]
    with open_store(dense=2, local=0) as store:
        everything = filled(store, times)
        for conditions in (["folder=1"], ["tag=a"], ["taken>=1970"], ["folder=1", "tag=a"]):
            where = Filter.parse(conditions)
            expected = [entry for entry in everything if passes(entry, where)]
            assert [one for page in pages(store, 4, where) for one in page] == expected
            assert expected


def test_a_page_continues_where_a_photo_was_removed(open_store):
    with open_store(dense=2, local=0) as store:
        expected = filled(store, [5, 5, 5, 5, 4, None, None, None])
        for last in range(8):
            store.delete([expected[last].id])
            place = Place(expected[last].taken, expected[last].id)
            assert timeline(store, 10, after=place) == expected[last + 1 :]


def test_all_pages_of_a_large_collection(open_store):
    """Half of them have the same time, as if they were copied at once."""
    draw = np.random.default_rng(0)
    times = [1_600_000_000 if row % 2 else int(draw.integers(2_000_000_000)) for row in range(2500)]
    with open_store(dense=2, local=0) as store:
        expected = filled(store, [*times, *[None] * 1500])
        found = pages(store, 1000)
    assert [len(page) for page in found] == [1000] * 4
    assert paths([entry for page in found for entry in page]) == paths(expected)


def test_an_entry_keeps_its_metadata(open_store):
    with open_store(dense=2, local=0) as store:
        [entry] = filled(store, [5])
        full = replace(entry, camera="Canon", user_tags=("b",))
        store.upsert([Point(full, np.ones(2, np.float32), np.zeros((1, 0), np.float32))])
        assert timeline(store, 5) == [full]
