"""Conditions as text: their meaning, and the errors for invalid ones."""

import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.errors import DataError
from hgan.index.store.filter import Filter


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("folder=2023/italy", Filter(folder="2023/italy")),
        (" folder = ./2023/my trip/ ", Filter(folder="2023/my trip")),
        ("folder=a=b", Filter(folder="a=b")),
        ("folder=.", Filter()),
        ("camera=Canon EOS  5D", Filter(camera=("canon", "eos", "5d"))),
        ("tag=On the  Beach", Filter(tags=("on the beach",))),
        ("taken>=2023", Filter(taken_from=at(2023, 1, 1))),
        ("taken>2023", Filter(taken_from=at(2024, 1, 1))),
        ("taken<2023-12", Filter(taken_until=at(2023, 12, 1))),
        ("taken<=2023-12", Filter(taken_until=at(2024, 1, 1))),
        ("taken=2024-02", Filter(taken_from=at(2024, 2, 1), taken_until=at(2024, 3, 1))),
        ("taken=2024-2-29", Filter(taken_from=at(2024, 2, 29), taken_until=at(2024, 3, 1))),
        ("taken>2023-06-30T23:59", Filter(taken_from=at(2023, 7, 1))),
        ("taken <= 2023-06-30 23:59:59", Filter(taken_until=at(2023, 7, 1))),
        ("taken<1960", Filter(taken_until=at(1960, 1, 1))),
    ],
)
def test_one_condition(text, expected):
    assert Filter.parse([text]) == expected


def test_several_conditions_all_hold():
    found = Filter.parse(
        ["taken>=2023", "taken>=2022", "taken<2025", "taken=2023", "tag=a", "tag=b", "tag=A"]
    )
    expected = Filter(taken_from=at(2023, 1, 1), taken_until=at(2024, 1, 1), tags=("a", "b"))
    assert found == expected


def test_nothing_is_no_condition():
    assert Filter.parse([]).empty
    assert not Filter.parse(["tag=a"]).empty
    assert not Filter(taken_from=0).empty


@pytest.mark.parametrize(
    ("texts", "fix"),
    [
        (["beach"], "write one such as folder=2023/italy"),
        ([""], "write one such as"),
        (["tag="], "write one such as"),
        (["date>=2023"], "only by folder, taken, camera and tag"),
        (["tag>beach"], "write tag=beach"),
        (["folder=a", "folder=b"], "remove one"),
        (["folder=/home/me/Pictures"], "relative to the indexed folder"),
        (["folder=../other"], "relative to the indexed folder"),
        (["taken>=yesterday"], "2023-06-30"),
        (["taken=2023-13"], "2023-06-30"),
        (["taken=2023-02-29"], "2023-06-30"),
        (["taken=2023-06-30T12"], "2023-06-30T12:30"),
        (["taken=0000"], "2023-06-30"),
        (["taken<=9999"], "2023-06-30"),
    ],
)
def test_conditions_that_mean_nothing(texts, fix):
    with pytest.raises(DataError) as caught:
        Filter.parse(texts)
    assert fix in str(caught.value)
    assert (texts[-1].partition("=")[2] or repr(texts[-1])) in str(caught.value)


@pytest.mark.parametrize("name", ["folder", "camera", "tag"])
def test_a_condition_that_is_not_utf8(name):
    with pytest.raises(DataError, match="not UTF-8 text"):
        Filter.parse([f"{name}=caf\udce9"])  # what Python makes of an argument in Latin-1


def test_a_long_condition_is_read_in_no_time():
    started = time.process_time()
    assert Filter.parse([f" tag=a{' ' * 60_000}b "]).tags == ("a b",)
    assert time.process_time() - started < 1


@given(st.text())
def test_any_text_is_a_filter_or_an_error_of_ours(text):
    for name in ("", "taken=", "taken<2", "folder=", "tag="):
        with suppress(DataError):
            Filter.parse([name + text])


@given(st.datetimes(datetime(1, 1, 1), datetime(9998, 12, 31)), st.sampled_from([4, 7, 10, 16]))
def test_a_time_splits_all_times_in_three(moment, length):
    text = moment.isoformat()[:length]
    before, during, after = (Filter.parse([f"taken{sign}{text}"]) for sign in ("<", "=", ">"))
    second = at(*moment.timetuple()[:6])
    assert before.taken_until == during.taken_from
    assert after.taken_from == during.taken_until
    assert during.taken_from <= second < during.taken_until
    assert Filter.parse([f"taken>={text}"]).taken_from == during.taken_from
    assert Filter.parse([f"taken<={text}"]).taken_until == during.taken_until


@given(
    st.builds(
        Filter,
        folder=st.none() | st.sampled_from(["2023", "2023/italy", "a = b/c>d", " a", "a/b "]),
        taken_from=st.none() | st.integers(-62_135_596_800, 253_402_300_798),
        taken_until=st.none() | st.integers(-62_135_596_800, 253_402_300_798),
        camera=st.sampled_from([(), ("canon",), ("canon", "eos", "5d")]),
        tags=st.sampled_from([(), ("beach",), ("the sea", "a=b")]),
    )
)
def test_conditions_are_the_way_back(where: Filter) -> None:
    assert Filter.parse(where.conditions()) == where


def test_a_time_that_cannot_be_written() -> None:
    with pytest.raises(DataError, match="years 1 to 9999"):
        Filter(taken_from=10**15).conditions()
