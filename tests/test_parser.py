"""What was probably meant, and what wrong values are told."""

import pytest
from jsonargparse.typing import PositiveInt

from hgan.errors import ConfigError
from hgan.parser import Parser, did_you_mean

KNOWN = ["seed", "optim", "optim.epochs", "optim.ema", "model.width", "loss.temperature"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("optim.epoch", "optim.epochs"),
        ("optm.epochs", "optim.epochs"),
        ("epochs", "optim.epochs"),
        ("optim.width", "model.width"),
        ("sead", "seed"),
        ("loss.temprature", "loss.temperature"),
    ],
)
def test_what_was_meant(word: str, meant: str) -> None:
    assert did_you_mean(word, KNOWN) == f"; did you mean {meant}?"


@pytest.mark.parametrize("word", ["optim.zebra", "loss.x", "", "temp"])
def test_nothing_is_suggested_for_a_word_that_is_like_none(word: str) -> None:
    assert did_you_mean(word, KNOWN) == ""


def test_messages_are_of_the_option_as_it_is_written() -> None:
    parser = Parser(prog="hgan test")
    parser.add_argument("photo")
    parser.add_argument("-k", "--count", type=PositiveInt)
    parser.add_argument("--kind", choices=["one", "two"])
    for words, message in (
        (["a", "-k", "0"], "-k: must be a whole number of at least 1, not 0"),
        (["a", "--count", ""], "-k: must be a whole number, not empty"),
        (["a", "--kind", "three"], "--kind: must be one or two, not three"),
        (["a", "--knd", "one"], "--knd: unknown option; did you mean --kind?"),
        (["a", "b"], "b: unexpected argument; see `hgan test --help`"),
        ([], "photo is missing; see `hgan test --help`"),
    ):
        with pytest.raises(ConfigError) as error:
            parser.parse_args(words)
        assert str(error.value) == message
