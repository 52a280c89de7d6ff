"""Conditions as text: their meaning, and the errors for invalid ones."""

import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.errors import DataError
from hgan.index.conditions.filter import Filter
from hgan.index.conditions.parse import DEEPEST, parse_condition
from hgan.index.conditions.periods import LAST, read_period, write_period
from hgan.index.conditions.types import (
    And,
    Camera,
    Folder,
    Has,
    In,
    Name,
    Near,
    Not,
    Or,
    Person,
    Place,
    Rating,
    Tag,
    Taken,
    leaves,
)
from tests.fixtures.conditions import ANY_LEAF, taken, trees


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())


A, B, C = Tag("a"), Tag("b"), Rating(4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("folder=2023/italy", Folder("2023/italy")),
        (" folder = ./2023/my trip/ ", Folder("2023/my trip")),
        ("folder=a=b", Folder("a=b")),
        ("folder=2023/rock and roll", Folder("2023/rock and roll")),
        ("folder=2023 (italy)", Folder("2023 (italy)")),
        ('folder=" a"', Folder(" a")),
        ("camera=Canon EOS  5D", Camera(("canon", "eos", "5d"))),
        ("camera:canon", Camera(("canon",))),
        ("camera!=canon", Not(Camera(("canon",)))),
        ("tag=On the  Beach", Tag("on the beach")),
        ('tag="this or tag=that"', Tag("this or tag=that")),
        ('tag="a"b', Tag('"a"b')),
        (r'tag="\"a\" \\"', Tag('"a" \\')),
        ("taken>=2023", Taken(at(2023, 1, 1))),
        ("taken>2023", Taken(at(2024, 1, 1))),
        ("taken<2023-12", Taken(end=at(2023, 12, 1))),
        ("taken<=2023-12", Taken(end=at(2024, 1, 1))),
        ("taken=2024-02", Taken(at(2024, 2, 1), at(2024, 3, 1))),
        ("taken=2024-2-29", Taken(at(2024, 2, 29), at(2024, 3, 1))),
        ("taken>2023-06-30T23:59", Taken(at(2023, 7, 1))),
        ("taken <= 2023-06-30 23:59:59", Taken(end=at(2023, 7, 1))),
        ("taken<1960", Taken(end=at(1960, 1, 1))),
        ("taken=2023..2024", Taken(at(2023, 1, 1), at(2025, 1, 1))),
        ("date:2023-06 .. 2023-08", Taken(at(2023, 6, 1), at(2023, 9, 1))),
        ("taken=2023..", Taken(at(2023, 1, 1))),
        ("taken=..2023", Taken(end=at(2024, 1, 1))),
        ("on:2023-06-30", Taken(at(2023, 6, 30), at(2023, 7, 1))),
        ("before=2023", Taken(end=at(2023, 1, 1))),
        ("after=2023", Taken(at(2024, 1, 1))),
        ("since=2023", Taken(at(2023, 1, 1))),
        ("until=2023", Taken(end=at(2024, 1, 1))),
        ("in=2023", Taken(at(2023, 1, 1), at(2024, 1, 1))),
        ("in=italy", In("italy")),
        ("rating>=4", Rating(4, 5)),
        ("rating>4", Rating(5, 5)),
        ("rating<2", Rating(0, 1)),
        ("rating<=2", Rating(0, 2)),
        ("rating=4", Rating(4, 4)),
        ("stars=3..4", Rating(3, 4)),
        ("rating=3..", Rating(3, 5)),
        ("rating=..2", Rating(0, 2)),
        ("rating!=4", Not(Rating(4, 4))),
        ("person=Ann  Lee", Person("ann lee")),
        ("with=Ann", Person("ann")),
        ("place=São Paulo", Place("são paulo")),
        ("near=Lisbon", Near("Lisbon", 50)),
        ("near=New York~20km", Near("New York", 20)),
        ("near=38.72,-9.14~0.5", Near("38.72,-9.14", 0.5)),
        ("name=IMG_0012.jpg", Name(("img", "0012"))),
        ("name=v1.2", Name(("v1", "2"))),
        ("has=GPS", Has("position")),
        ("has=tags", Has("tag")),
        ("TAG=a", A),
    ],
)
def test_one_condition(text, expected):
    assert Filter.parse([text]) == Filter((expected,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rating>=4 or tag=a", Or((C, A))),
        ("tag=a and tag=b or rating>=4", Or((And((A, B)), C))),
        ("tag=a or tag=b and rating>=4", Or((A, And((B, C))))),
        ("(tag=a or tag=b) and rating>=4", And((Or((A, B)), C))),
        ("not tag=a", Not(A)),
        ("not tag=a and tag=b", And((Not(A), B))),
        ("not (tag=a or tag=b)", Not(Or((A, B)))),
        ("not(not tag=a)", Not(Not(A))),
        ("((tag=a))", A),
        ("TAG=a OR Tag=b", Or((A, B))),
        ('(tag="a" or tag="b")', Or((A, B))),
        ("(folder=x (y) or tag=a)", Or((Folder("x (y)"), A))),
        ("tag=a or not (tag=b)", Or((A, Not(B)))),
        ("tag=black and white", Tag("black and white")),
        ("tag=black and not white", Tag("black and not white")),
        ("tag=black or colour=white", Tag("black or colour=white")),
        ("tag=a or", Tag("a or")),
        ("tag=a or not", Tag("a or not")),
        ("tag=a)", Tag("a)")),
    ],
)
def test_conditions_that_are_combined(text, expected):
    assert parse_condition(text) == expected


def test_several_conditions_all_hold():
    found = Filter.parse(["taken>=2023", "tag=a", "tag=b", "tag=A", "rating>=4 or tag=b"])
    assert found.parts == (Taken(at(2023, 1, 1)), A, B, Or((C, B)))
    assert Filter.parse(["tag=a"]) & Filter.parse(["tag=a", "tag=b"]) == Filter((A, B))


def test_nothing_is_no_condition():
    assert Filter.parse([]).empty
    assert Filter.parse(["folder=."]).empty
    assert not Filter.parse(["tag=a"]).empty


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("beach", "write one such as folder=2023/italy"),
        ("", "write one such as"),
        ("tag=", "write one such as"),
        ('tag=""', "write one such as"),
        ("colour>=2023", "only by folder, taken, camera, tag"),
        ("tag>beach", "write tag=beach"),
        ("folder=/home/me/Pictures", "relative to the indexed folder"),
        ("folder=../other", "relative to the indexed folder"),
        ("taken>=yesterday", "2023-06-30"),
        ("taken=2023-13", "2023-06-30"),
        ("taken=2023-02-29", "2023-06-30"),
        ("taken=2023-06-30T12", "2023-06-30T12:30"),
        ("taken=0000", "2023-06-30"),
        ("taken<=9999", "2023-06-30"),
        ("taken=2024..2023", "write 2023..2024"),
        ("taken=..", "2023..2024"),
        ("in=2023-13", "2023-06-30"),
        ("on=fire", "2023-06-30"),
        ("rating>=many", "rating>=4"),
        ("rating>5", "stars are from 0 to 5"),
        ("rating=5..3", "stars are from 0 to 5"),
        ("rating=7", "stars are from 0 to 5"),
        ("near=~20km", "near=Lisbon~20km"),
        ("near=Lisbon~0km", "0 to 20000 km"),
        ("name=...", "name=img_12"),
        ("has=colour", "camera, person, place"),
        ("(tag=a", "write ) at the end"),
        ("(tag=a) tag=b", "write and or or before it"),
        ('tag="a" tag=b', "write and or or before it"),
        ("not", "write one such as"),
        ("not beach", "after 'not ', 'beach'"),
        ("(" * (DEEPEST + 1) + "tag=a" + ")" * (DEEPEST + 1), "20 deep"),
        ("not " * 2000 + "tag=a", "20 deep"),
    ],
)
def test_conditions_that_mean_nothing(text, fix):
    with pytest.raises(DataError) as caught:
        Filter.parse([text])
    assert fix in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("name", ["folder", "camera", "tag"])
def test_a_condition_that_is_not_utf8(name):
    with pytest.raises(DataError, match="not UTF-8 text"):
        Filter.parse([f"{name}=caf\udce9"])  # what Python makes of an argument in Latin-1


@pytest.mark.parametrize(
    "text",
    [
        f" tag=a{' ' * 60_000}b ",
        f"tag=a{' and' * 20_000}",
        f"tag=a and{' ' * 60_000}b",
        f"tag=a and {'not ' * 15_000}b",
        f"(tag={'(' * 30_000}{')' * 30_000})",
        'tag="' + "\\" * 60_001,
    ],
    ids=["spaces", "and", "and spaces", "not", "parentheses", "quotes"],
)
def test_a_long_condition_is_read_in_no_time(text):
    started = time.process_time()
    assert isinstance(parse_condition(text), Tag)
    assert time.process_time() - started < 1


@given(st.text())
def test_any_text_is_a_filter_or_an_error_of_ours(text):
    for name in ("", "taken=", "taken<2", "folder=", "tag=", "near=", "rating", "(", "not "):
        with suppress(DataError):
            Filter.parse([name + text])


@given(
    st.lists(
        st.sampled_from(
            ["tag=a", "rating>=4", "and", "or", "not", "(", ")", '"', "in:x", " ", "..", "\\"]
        ),
        max_size=12,
    ).map(" ".join)
)
def test_what_is_read_can_be_written(text):
    with suppress(DataError):
        found = Filter.parse([text])
        assert Filter.parse(found.conditions()) == found


@given(st.datetimes(datetime(1, 1, 1), datetime(9998, 12, 31)), st.sampled_from([4, 7, 10, 16]))
def test_a_time_splits_all_times_in_three(moment, length):
    text = moment.isoformat()[:length]
    before, during, after = (parse_condition(f"taken{sign}{text}") for sign in ("<", "=", ">"))
    second = at(*moment.timetuple()[:6])
    assert before.end == during.start
    assert after.start == during.end
    assert during.start <= second < during.end
    assert parse_condition(f"taken>={text}").start == during.start
    assert parse_condition(f"taken<={text}").end == during.end


@pytest.mark.parametrize(
    "text",
    ["2023", "2023..2024", "2023-06", "2023-06..2024-01", "2024-02-29", "0001-01-01T00:01",
     "..2023", "2023-06..", "2023-06-30T12:30:01"],
)  # fmt: skip
def test_a_period_is_written_in_its_shortest_form(text):
    assert write_period(*read_period(text)) == text


@given(taken(st.integers(LAST - 2, LAST - 1) | st.integers(at(2023, 1, 1), at(2024, 1, 1))))
def test_a_period_can_be_written(period):
    assert parse_condition(str(period)) == period


@given(st.lists(trees(ANY_LEAF), max_size=4, unique=True))
def test_conditions_are_the_way_back(parts) -> None:
    where = Filter.of(parts)
    assert Filter.parse(where.conditions()) == where


@given(trees(ANY_LEAF))
def test_leaves_are_all_conditions_on_fields(tree) -> None:
    found = leaves(tree)
    assert found and all(str(leaf) in str(tree) for leaf in found)


@pytest.mark.parametrize(
    "bounds", [(10**15, None), (None, LAST + 1), (LAST, None), (5, 5), (None, None)]
)
def test_a_period_that_cannot_be_written(bounds) -> None:
    with pytest.raises(DataError, match=r"years 1 to 9999|before it starts|a start or an end"):
        Taken(*bounds)
