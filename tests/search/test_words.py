"""Words that the model does not know, and suggestions."""

import pytest

from hgan.search.words import MOST, corrected, unknown_words

VOCABULARY = ("dog", "snow", "beach", "running", "mountain")
TOKENS = {"submarine", "in", "the", "cafe"}


def unknown(text: str) -> list[tuple[str, str | None]]:
    return [tuple(found) for found in unknown_words(text, VOCABULARY, TOKENS.__contains__)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dog running in the snow", []),
        ("submarine", []),
        ("café", []),
        ("a1 2023 !?", [("a", None)]),
        ("montain", [("montain", "mountain")]),
        ("runing dogg", [("runing", "running"), ("dogg", "dog")]),
        ("xqzvtt", [("xqzvtt", None)]),
        ("犬 dog", [("犬", None)]),
        ("собака", [("собака", None)]),
        ("dog 🐕 🐕", [("🐕", None)]),
        ("", []),
    ],
)
def test_unknown_words_are_found_once_with_what_was_meant(text, expected):
    assert unknown(text) == expected


def test_as_a_sentence():
    [found] = unknown_words("montain", VOCABULARY, TOKENS.__contains__)
    assert str(found) == "The model does not know “montain”; did you mean “mountain”?"
    [found] = unknown_words("犬", VOCABULARY, TOKENS.__contains__)
    assert str(found) == "The model does not know “犬”"


def test_no_more_than_a_few_are_reported():
    assert len(unknown("xq yq zq wq vq")) == MOST


def test_corrected_texts_keep_all_but_the_unknown_words():
    text = "A montain, dogg and xqzvtt!"
    found = unknown_words(text, VOCABULARY, {"a", "and"}.__contains__)
    assert corrected(text, found) == "A mountain, dog and xqzvtt!"
    assert corrected("xqzvtt", unknown_words("xqzvtt", VOCABULARY, TOKENS.__contains__)) is None
    assert corrected("a dog", []) is None
