"""The query language: what a line means, what stays words, and the errors that it can have."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.errors import DataError
from hgan.index.conditions.fields import FIELDS
from hgan.index.conditions.filter import Filter
from hgan.search.language.parse import parse
from hgan.search.language.spoken import spoken
from hgan.search.language.types import ANYTHING, LanguageError
from tests.fixtures.conditions import ANY_LEAF, trees

WORDS = [
    "a dog in the snow",
    "two dogs or a cat",
    "note: buy milk",
    "place: the beach at noon",
    "name : unknown",
    "http://example.com/in:2023",
    "file:///home/me/a.jpg",
    "meet at 12:30",
    "a ratio of 16:9",
    "C# code",
    "the #1 dog",
    "# beach",
    "no smoking sign",
    "a no parking sign",
    "no entry",
    "no. 5 bus",
    "bus no 5",
    "there is no place like home",
    "no one on the beach",
    "say no to drugs",
    "yes or no",
    "a dog not on a leash",
    "not smiling",
    "why not",
    "without",
    "black - white",
    "-5 degrees",
    "well-known street",
    "a rock-n-roll band",
    "a < b and b > c",
    "x=3",
    "rating of five stars",
    "rating > good",
    "(with a ball)",
    "dog (playing",
    "a dog :-)",
    'a 5" screen',
    "tag : beach",
    "AND OR NOT",
    "dog or tag",
    "🐕 in the ❄",
]
"""Lines that are words and nothing else."""


@pytest.mark.parametrize("line", WORDS)
def test_words_stay_words(line):
    parsed = parse(line)
    assert parsed.text.replace('"', "") == line.replace('"', "")
    assert (parsed.parts, parsed.without, parsed.where) == ((), (), Filter())


@pytest.mark.parametrize(
    ("line", "text", "where"),
    [
        ("dog in:2023", "dog", ["taken=2023"]),
        ("in:italy dog", "dog", ["in=italy"]),
        ("dog on:2023-06-30", "dog", ["taken=2023-06-30"]),
        ("dog before:2023 after:2020", "dog", ["taken<=2022", "taken>=2021"]),
        ("dog since:2020", "dog", ["taken>=2020"]),
        ("dog in:2023..2024", "dog", ["taken=2023..2024"]),
        ("dog taken>=2023-06", "dog", ["taken>=2023-06"]),
        ("dog camera:canon", "dog", ["camera=canon"]),
        ('dog camera:"Canon EOS"', "dog", ["camera=canon eos"]),
        ("dog #beach", "dog", ["tag=beach"]),
        ("dog #beach, #sea.", "dog", ["tag=beach", "tag=sea"]),
        ("dog tag:beach", "dog", ["tag=beach"]),
        ("dog with:Ann person:Bob", "dog", ["person=ann", "person=bob"]),
        ("dog place:lisbon", "dog", ["place=lisbon"]),
        ("dog near:Lisbon", "dog", ["near=Lisbon~50km"]),
        ('dog near:"New York"~20km', "dog", ["near=New York~20km"]),
        ("dog rating>=4", "dog", ["rating>=4"]),
        ("dog rating >= 4", "dog", ["rating>=4"]),
        ("dog rating:4 bone", "dog bone", ["rating=4"]),
        ("dog rating!=4", "dog", ["not rating=4"]),
        ("dog stars:3..5", "dog", ["rating>=3"]),
        ("dog name:img_12", "dog", ["name=img 12"]),
        ("dog folder:2023/italy", "dog", ["folder=2023/italy"]),
        ('dog folder:"my trip/day 1"', "dog", ["folder=my trip/day 1"]),
        ("dog folder:trip(1)", "dog", ['folder="trip(1)"']),
        ("dog has:gps", "dog", ["has=position"]),
        ("dog IN:2023", "dog", ["taken=2023"]),
        ("dog, in:2023, tag:x", "dog", ["taken=2023", "tag=x"]),
        ("-tag:x dog", "dog", ["not tag=x"]),
        ("not tag:x dog", "dog", ["not tag=x"]),
        ("NOT tag:x dog", "dog", ["not tag=x"]),
        ("-#x dog", "dog", ["not tag=x"]),
        ("tag:a OR tag:b dog", "dog", ["tag=a or tag=b"]),
        ("tag:a or tag:b dog", "dog", ["tag=a or tag=b"]),
        ("rating:5 tag:a OR tag:b", "", ["rating=5", "tag=a or tag=b"]),
        ("tag:a AND tag:b OR tag:c", "", ["tag=a and tag=b or tag=c"]),
        ("(tag:a OR tag:b) AND rating:4", "", ["(tag=a or tag=b) and rating=4"]),
        ("(tag:a tag:b) OR rating:4", "", ["tag=a and tag=b or rating=4"]),
        ("-(tag:a OR tag:b) dog", "dog", ["not (tag=a or tag=b)"]),
        ("tag:a or a cat", "or a cat", ["tag=a"]),
        ('camera:"canon e', "", ["camera=canon e"]),
    ],
)
def test_conditions(line, text, where):
    parsed = parse(line)
    assert (parsed.text, parsed.without) == (text, ())
    assert list(parsed.where.conditions()) == where
    assert {part.kind for part in parsed.parts} == {"condition"}


@pytest.mark.parametrize(
    ("line", "text", "without"),
    [
        ("a beach -people", "a beach", ["people"]),
        ('a street -"red car" -dogs.', "a street", ["red car", "dogs"]),
        ("a beach without people", "a beach", ["people"]),
        ("a beach without a boat", "a beach", ["a boat"]),
        ("a beach without any people", "a beach", ["people"]),
        ("a beach without people or boats", "a beach", ["people", "boats"]),
        ("a street without people and cars at night", "a street at night", ["people", "cars"]),
        ("a cat without a collar and a dog", "a cat and a dog", ["a collar"]),
        ("a beach, no people", "a beach", ["people"]),
        ("no people", "", ["people"]),
        ("a field with no snow", "a field", ["snow"]),
        ("a garden with no dog", "a garden", ["dog"]),
        ("a garden but no flowers", "a garden", ["flowers"]),
        ("a street where there are no cars", "a street", ["cars"]),
        ("flowers but not roses", "flowers", ["roses"]),
        ("a pet, not a dog", "a pet", ["a dog"]),
        ('a street without "red cars"', "a street", ["red cars"]),
        ("a beach without people in the morning", "a beach in the morning", ["people"]),
        ("a dog without a leash in:2023", "a dog", ["a leash"]),
        ("-cats a dog, no people", "a dog", ["cats", "people"]),
        ('"no people" beach', "no people beach", []),
        ('"without a cause"', "without a cause", []),
    ],
)
def test_negation(line, text, without):
    parsed = parse(line)
    assert (parsed.text, list(parsed.without)) == (text, without)


def test_parts_say_where_they_are():
    line = "🐕 dog in:2023 no people -tag:x camera:"
    parsed = parse(line)
    assert [(part.kind, line[part.start : part.end], part.label) for part in parsed.parts] == [
        ("condition", "in:2023", "taken 2023"),
        ("without", "no people", "without people"),
        ("condition", "-tag:x", "not #x"),
        ("unfinished", "camera:", "camera:"),
    ]
    assert parsed.text == "🐕 dog"


@pytest.mark.parametrize(
    ("line", "place", "fix"),
    [
        ("dog rating:many", "rating:many", "rating>=4"),
        ("dog rating>=9 cat", "rating>=9", "0 to 5"),
        ("on:fire", "on:fire", "2023-06-30"),
        ("dog (tag:a OR in:2023-13)", "in:2023-13", "2023-06-30"),
        ("dog tag>beach", "tag>beach", "write tag=beach"),
        ("dog has:colour", "has:colour", "camera, person"),
    ],
)
def test_a_condition_that_is_not_valid(line, place, fix):
    with pytest.raises(LanguageError) as caught:
        parse(line)
    assert line[caught.value.start : caught.value.end] == place
    assert str(caught.value).startswith(repr(place))
    assert fix in str(caught.value)
    assert "in double quotes" in str(caught.value)
    assert parse(line.replace(place, f'"{place}"')).where.empty  # what the message says


def test_a_line_that_is_not_utf8():
    with pytest.raises(DataError, match="not UTF-8"):
        parse("caf\udce9")


def test_a_query_without_words():
    assert parse("rating>=4").query().text == ANYTHING
    assert parse("no people").query().without == ("people",)
    assert parse("rating>=4").query(like="a.jpg").text == ""
    with pytest.raises(DataError, match="no words and no photo"):
        parse(" ").query()
    with pytest.raises(DataError, match="no words and no photo"):
        parse("camera:").query()


FRAGMENTS = st.sampled_from(
    [
        *["dog", "no", "not", "without", "people", "and", "or", "OR", "but", "with", ",", "a"],
        *["(", ")", '"', "-", "#", "#x", ":", "in:2023", "tag:a", "rating>=4", "12:30", "🐕"],
        *(f"{name}:" for name in sorted(FIELDS)),
    ]
)


@given(st.lists(FRAGMENTS, max_size=10), st.sampled_from(["", " "]))
def test_every_line_is_understood_or_an_error_of_ours(fragments, between):
    line = between.join(fragments)
    try:
        parsed = parse(line)
    except LanguageError as error:
        assert 0 <= error.start < error.end <= len(line)
        return
    ends = 0
    for part in parsed.parts:  # parts follow each other and are not empty
        assert ends <= part.start < part.end <= len(line)
        ends = part.end
    assert Filter.parse(parsed.where.conditions()) == parsed.where
    # Without its parts, the line has the same words and nothing else.
    rest = list(line)
    for part in parsed.parts:
        rest[part.start : part.end] = " " * (part.end - part.start)
    for word in parsed.text.split():
        assert word.replace('"', "") in "".join(rest).replace('"', "")


@given(st.text(max_size=40))
def test_any_text(line):
    try:
        parse(line)
    except DataError as error:
        assert "\n" not in str(error) or "\n" in line


@pytest.mark.parametrize(
    "line",
    ["( " * 5000, "not " * 3000, "-" * 10_000, '"' * 9999, "tag:a or " * 1000, "no " * 3000,
     "rating" + " " * 9000, "without a " * 1000, 'tag:"' + "\\" * 9001, "a, " * 3000],
    ids=range(10),
)  # fmt: skip
def test_a_long_line_is_read_in_no_time(line):
    started = time.process_time()
    parse(line)
    assert time.process_time() - started < 1


@given(trees(ANY_LEAF))
def test_every_condition_has_words(tree):
    assert spoken(tree)
