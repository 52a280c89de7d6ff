"""Conditions of every kind on made-up photos: each engine finds those that the naive twin finds."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hgan.index.conditions.fields import camera_words
from hgan.index.conditions.filter import Filter
from hgan.index.conditions.types import (
    HAS,
    Camera,
    Condition,
    Folder,
    Has,
    In,
    Name,
    Near,
    Person,
    Place,
    Tag,
)
from hgan.index.store.contract import Entry, Point, Store
from tests.fixtures.conditions import passes, stars, taken, trees
from tests.fixtures.points import CAMERAS, DENSE, LOCAL, TAGS, unit

PHOTOS = 300
DAY = 86_400
CITIES = (
    ("Lisbon", "Portugal", "PT", (38.725, -9.15)),
    ("Porto", "Portugal", "PT", (41.149, -8.611)),
    ("São Paulo", "Brazil", "BR", (-23.548, -46.636)),
    ("Suva", "Fiji", "FJ", (-18.142, 178.442)),  # near the date line
    ("Longyearbyen", "Svalbard and Jan Mayen", "SJ", (78.223, 15.647)),
)
PEOPLE = ("ann", "bob lee")

LEAVES: st.SearchStrategy[Condition] = st.one_of(
    st.sampled_from(["2023", "2023/italy", "nowhere"]).map(Folder),
    taken(st.integers(-20, 120).map(lambda days: days * 30 * DAY)),
    stars(),
    st.sampled_from(["canon", "5d canon", "can"]).map(camera_words).map(Camera),
    st.sampled_from([*TAGS, "sun"]).map(Tag),
    st.sampled_from([*PEOPLE, "bob"]).map(Person),
    st.sampled_from(["lisbon", "portugal", "pt", "são paulo", "sao paulo", "rome"]).map(Place),
    st.sampled_from(["2023", "Portugal", "lisbon"]).map(In),
    st.builds(
        Near,
        st.sampled_from(["38.72,-9.14", "-18,-179.9", "80,20", "0,0"]),
        st.sampled_from([5.0, 60.0, 400.0, 7000.0]),
    ),
    st.sampled_from([("img",), ("img", "7"), ("7",)]).map(Name),
    st.sampled_from(HAS).map(Has),
)


def entry(i: int, rng: np.random.Generator) -> Entry:
    """A photo that says some of all that a photo can say."""
    says = rng.random(6) < 0.7
    city, country, code, (latitude, longitude) = CITIES[i % len(CITIES)]
    folder = ("", "2023/", "2023/italy/", "2024/")[i % 4]
    away = rng.normal(scale=0.5, size=2)
    return Entry(
        f"{folder}IMG_{i}.jpg",
        size=1,
        mtime=1,
        digest="",
        taken=int(rng.integers(-20, 120)) * 30 * DAY if says[0] else None,
        camera=CAMERAS[i % 3] if says[1] else "",
        file_tags=TAGS[: i % 3],
        rating=int(rng.integers(0, 6)) if says[2] else None,
        people=PEOPLE[: int(rng.integers(0, 3))],
        city=city if says[3] else "",
        country=country if says[3] else "",
        country_code=code if says[3] else "",
        position=(latitude + away[0], longitude + away[1]) if says[4] else None,
    )


@pytest.fixture
def filled(open_store) -> Iterator[tuple[list[Entry], Store]]:
    rng = np.random.default_rng(0)
    entries = [entry(i, rng) for i in range(PHOTOS)]
    local = unit(rng.normal(size=(1, LOCAL)))
    with open_store() as store:
        store.upsert([Point(one, unit(rng.normal(size=DENSE)), local) for one in entries])
        yield entries, store


@pytest.mark.slow
@given(where=st.lists(trees(LEAVES), min_size=1, max_size=2).map(Filter.of))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_engines_find_what_the_conditions_say(filled, where: Filter) -> None:
    entries, store = filled
    expected = {one.id for one in entries if passes(one, where)}
    assert {match.id for match in store.search(np.ones(DENSE), PHOTOS, where)} == expected
    assert store.count(where) == len(expected)


@pytest.mark.parametrize(
    "text",
    ["rating>=4", "person=ann", "place=portugal", "place=sao paulo", "near=38.72,-9.14~60km",
     "near=-18,-179.9~400km", "name=IMG_7", "has=position", "in=lisbon", "not rating=3..5",
     "rating>=4 or place=pt", "(person=ann or person=bob lee) and not has=rating"],
)  # fmt: skip
def test_each_condition_finds_some_photos(filled, text: str) -> None:
    entries, store = filled
    where = Filter.parse([text])
    expected = {one.id for one in entries if passes(one, where)}
    assert 0 < len(expected) < PHOTOS
    assert {match.id for match in store.search(np.ones(DENSE), PHOTOS, where)} == expected
