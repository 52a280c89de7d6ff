"""Queries with and without an answer, made from captions."""

import numpy as np
import pytest

from hgan.export.queries import (
    Collection,
    JudgedQuery,
    phrases,
    stem,
    things,
    with_answer,
    without_answer,
    words_of,
)

DOGS = [
    ["A brown dog runs through the snow .", "The brown dog in snow .", "Dogs play outside"],
    ["Two boys on a beach .", "Boys play at the beach", "The boys have a kite ."],
]


@pytest.fixture
def collection():
    return Collection(DOGS)


def test_words_and_stems():
    assert words_of("A dog's café, 2 DOGS!") == ["a", "dog", "s", "café", "dogs"]
    assert [stem(word) for word in ("dogs", "bus", "dog")] == ["dog", "bus", "dog"]


def test_the_list_of_things_has_no_doubles_and_is_not_about_photos_of_people():
    names = things()
    assert len(names) > 300
    assert len(set(names)) == len(names)
    assert all(name == name.strip().lower() for name in names)


def test_a_photo_answers_if_its_captions_have_all_words(collection):
    assert collection.answers("a dog") == {0}
    assert collection.answers("boy on the beach") == {1}
    assert collection.answers("play") == {0, 1}
    assert collection.answers("dog on a beach") == frozenset()


def test_what_a_collection_lacks(collection):
    assert collection.lacks("spaceship")
    assert collection.lacks("a dog with a hat")
    assert not collection.lacks("the dogs at a beach")


def test_phrases_count_photos_and_have_function_words_only_inside(collection):
    counts = phrases(collection, 1, 4)
    assert counts["play"] == 2
    assert counts["brown dog"] == 1  # in two captions of one photo
    assert counts["dog in snow"] == 1
    assert "the beach" not in counts and "beach the" not in counts


def test_queries_with_an_answer_have_their_photos(collection):
    queries = with_answer(collection, np.random.default_rng(0))
    by_text = {query.text: query.answers for query in queries}
    assert {row for query in queries[:2] for row in query.answers} == {0, 1}
    assert by_text["snow"] == {0} and by_text["beach"] == {1}  # in most captions of a photo
    assert "kite" not in by_text  # in one caption of three
    assert all(query.answers for query in queries)
    assert not any(query.text.endswith(".") for query in queries)


def test_queries_without_an_answer_are_about_what_is_not_there(collection):
    others = [
        JudgedQuery("a zebra eats", frozenset([0])),
        JudgedQuery("a quiet day", frozenset([1])),
    ]
    rng = np.random.default_rng(0)
    queries = without_answer(collection, others, {"zebra", "dog"}, rng)
    texts = {query.text for query in queries}
    assert {"spaceship", "giraffe", "a zebra eats"} <= texts
    assert not {"dog", "kite", "a quiet day"} & texts
    assert not any(query.answers for query in queries)


def test_collections_add_up(collection):
    both = collection + Collection([["A zebra"]])
    assert both.answers("zebra") == {2}
    assert both.answers("dog") == {0}
