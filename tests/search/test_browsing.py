"""The timeline with copies put together, compared with a plain loop over all photos."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hgan.index.conditions.filter import Filter
from hgan.index.store.contract import Entry, Point
from hgan.index.store.edge import EdgeStore
from hgan.search.browsing import Shown, all_photos, page_of
from tests.fixtures.points import DENSE, LOCAL

PHOTOS = st.lists(
    st.tuples(st.sampled_from([None, 1, 2]), st.integers(0, 3), st.integers(1, 3)), max_size=12
)
"""Time, what is shown, and width of each photo."""


def made(photos: list[tuple[int | None, int, int]]) -> list[Point]:
    """Photos that show the same have the same bytes and vector; others are orthogonal."""
    return [
        Point(
            Entry(f"{i}.jpg", 1, 1, f"{shows}", taken=taken, width=width, height=1),
            np.eye(DENSE, dtype=np.float32)[shows],
            np.eye(1, LOCAL, dtype=np.float32),
        )
        for i, (taken, shows, width) in enumerate(photos)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EdgeStore]:
    with EdgeStore.create(tmp_path / "store", DENSE, LOCAL) as created:
        yield created


def pages(store: EdgeStore, limit: int, folded: bool = True) -> list[list[Shown]]:
    found, after = [], None
    while True:
        photos, after = page_of(store, limit, Filter(), after, folded)
        found.append(photos)
        if after is None:
            return found


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(photos=PHOTOS, limit=st.integers(1, 13))
def test_each_photo_once_and_copies_of_a_second_together(store, photos, limit):
    store.delete([entry.id for entry in store.entries()])
    points = made(photos)
    store.upsert(points)
    found = pages(store, limit)
    assert all(0 < len(page) <= limit for page in found[:-1]) and len(found[-1]) <= limit
    shown = [one for page in found for one in page]
    seen = [entry.id for one in shown for entry in (one.entry, *one.copies)]
    assert sorted(seen) == sorted(point.entry.id for point in points)
    times = [one.entry.taken for one in shown]
    assert times == sorted(times, key=lambda taken: (taken is None, -(taken or 0)))
    for one in shown:
        kinds = {(copy.taken, copy.digest) for copy in (one.entry, *one.copies)}
        assert len(kinds) == 1
        assert all(copy.width <= one.entry.width for copy in one.copies)
    by_time = sorted(photo[0] or 0 for photo in photos)
    longest = max((len(list(group)) for _, group in groupby(by_time)), default=0)
    if limit >= longest:  # no second is cut
        assert len(shown) == len({photo[:2] for photo in photos})
    assert list(all_photos(store, Filter(), folded=True)) == pages(store, 200)[0]


def test_without_folding_each_photo_stands_alone(store):
    store.upsert(made([(1, 0, 1), (1, 0, 2), (None, 0, 1)]))
    found = pages(store, 2, folded=False)
    assert [len(page) for page in found] == [2, 1]
    assert all(one.copies == () for page in found for one in page)


def test_frames_of_a_video_are_together(store):
    frames = [
        Point(
            Entry(f"clip.mp4#{number}", 9, 1, f"{number}", taken=9 + number, moment=float(number)),
            np.eye(DENSE, dtype=np.float32)[number],
            np.eye(1, LOCAL, dtype=np.float32),
        )
        for number in (1, 2, 3)
    ]
    store.upsert([*frames, *made([(5, 0, 1), (11, 1, 1)])])
    [photos] = pages(store, 9)
    assert [(one.entry.path, [copy.path for copy in one.copies]) for one in photos] == [
        ("1.jpg", []),  # taken meanwhile
        ("clip.mp4#1", ["clip.mp4#2", "clip.mp4#3"]),
        ("0.jpg", []),
    ]
