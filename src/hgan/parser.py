"""A parser of arguments and settings whose errors are in plain words, with what was probably meant.

The parsers of all verbs and of YAML files are of this class. What jsonargparse says is made for
programmers: `Parser key "k": Not of type PositiveInt: 0 does not conform to restriction v>0`.
"""

import difflib
import re
from argparse import Action
from collections.abc import Iterable
from typing import NoReturn

from jsonargparse import ArgumentParser

from hgan.errors import ConfigError

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list, such as [a, b]",
}
"""Names of types in errors."""
_VALUE = re.compile(r'(Parser key "|argument )(?P<key>[^":]*)"?:\s*(?P<problem>.*)', re.DOTALL)
_WRONG = (
    (r"Not of type PositiveInt: (?P<value>.*) does not conform.*", "a whole number of at least 1"),
    (r"Not of type NonNegativeInt: (?P<value>.*) does not conform.*",
     "a whole number of at least 0"),
    (r"Not of type \w+Int: .*?'(?P<value>.*)'", "a whole number"),
    (r"Expected a <class '(?P<kind>\w+)'>\. Got value: (?P<value>.*)", None),
    (r"Expected a (?P<kind>list)\b.*\. Got value: (?P<value>.*)", None),
    (r"Expected a typing\.Literal\[(?P<choices>.*)\]\. Got value: (?P<value>.*)", None),
    (r"invalid choice: (?P<value>.*) \(choose from (?P<choices>.*)\)", None),
)  # fmt: skip
"""Problems of values, and what the value must be, if the problem itself does not say it."""


class Parser(ArgumentParser):
    """An `ArgumentParser` that raises `ConfigError` instead of ending the program."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise `ConfigError` with a message of jsonargparse in plain words."""
        raise ConfigError(_plain(message, self)) from ex


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A half-sentence with the name that was probably meant; empty if none is similar.

    A name with the same last part comes first, as `optim.epochs` for `epochs` and `model.epochs`.
    """
    known = list(known)
    last = _last(word)
    same = [name for name in known if _last(name) == last]
    near = difflib.get_close_matches(word, known, n=5)
    near = [name for name in near if difflib.get_close_matches(last, [_last(name)])]
    return f"; did you mean {(same + near)[0]}?" if same or near else ""


def _last(name: str) -> str:
    return name.lstrip("-").rpartition(".")[2]


def _plain(message: str, parser: ArgumentParser) -> str:
    """A message of jsonargparse in plain words, on one line."""
    head, _, rest = message.partition(": ")
    see = f"; see `{parser.prog} --help`"
    if head == "unrecognized arguments":
        word = rest.split(" ")[0].partition("=")[0]
        if not word.startswith("-"):
            return f"{word}: unexpected argument{see}"
        options = [option for action in parser._actions for option in action.option_strings]
        return f"{word}: unknown option{did_you_mean(word, options) or see}"
    if head == "the following arguments are required":
        missing = [_shown(key, parser) for key in rest.split(", ")]
        return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing{see}"
    if (found := _VALUE.fullmatch(message)) is not None:
        return f"{_shown(found['key'], parser)}: {_problem(found['problem'])}"
    return " ".join(message.split())


def _problem(text: str) -> str:
    """What is wrong with a value."""
    for pattern, wanted in _WRONG:
        if (found := re.fullmatch(pattern, text, re.DOTALL)) is not None:
            named = found.groupdict()
            if wanted is None and "kind" in named:
                wanted = _KINDS.get(named["kind"], named["kind"])
            elif wanted is None:
                wanted = " or ".join(part.strip(" '\"") for part in named["choices"].split(","))
            value = named["value"].strip(" '\"")
            return f"must be {wanted}, not {value or 'empty'}"
    return " ".join(text.replace("expected one argument", "needs a value").split())


def _shown(key: str, parser: ArgumentParser) -> str:
    """A key as it is written on the command line; a setting of a YAML file as it is there."""
    for action in parser._actions:
        if action.dest == key and "." not in key:
            return _name(action)
    return key


def _name(action: Action) -> str:
    if action.option_strings:
        return action.option_strings[0]
    return str(action.metavar or action.dest)
