"""Read a line of the query language: `dog in:2023 camera:canon rating>=4 -people near:Lisbon`.

    FIELD:VALUE        a condition, see `hgan.index.conditions.fields`; also =, !=, <, <=, >, >=
    #beach             the tag beach
    -CONDITION         photos that do not meet it; also `not CONDITION`
    A OR B, A AND B    conditions that are combined, with parentheses; others must all be met
    -word, -"a phrase" what photos should not show; also in plain words: without people
    "in quotes"        words as they are

Everything else is words. A colon after a name that is no field, before white space or before `//`
belongs to the words, as in `note: buy milk` and `http://example.com`.
"""

import re
from operator import itemgetter
from typing import NamedTuple

from hgan.errors import DataError
from hgan.index.conditions.fields import FIELDS, ORDERED, condition
from hgan.index.conditions.filter import Filter
from hgan.index.conditions.parse import DEEPEST
from hgan.index.conditions.types import And, Condition, Not, Or
from hgan.index.conditions.writing import unquoted
from hgan.search.language.negation import negations
from hgan.search.language.spoken import spoken
from hgan.search.language.types import LanguageError, Parsed, Part

_NAMES = "|".join(sorted(FIELDS, key=len, reverse=True))
_SIGNS = r">=|<=|!=|=|>|<|:"
_VALUE = r'"(?:[^"\\]|\\.)*+(?:"(?:~\S*)?|\Z)|[^\s"]\S*'
_CONDITION = re.compile(rf"({_NAMES})({_SIGNS})(?!//)({_VALUE})", re.IGNORECASE)
_SPACED = re.compile(rf"({'|'.join(ORDERED)})\s*+(>=|<=|>|<)\s*+(\d\S*)", re.IGNORECASE | re.ASCII)
"""`rating >= 4`: with spaces, but only if a number follows."""
_UNFINISHED = re.compile(rf"-?(?:{_NAMES})(?:{_SIGNS})\s*\Z", re.IGNORECASE)
_TAG = re.compile(r"#([^\W\d_][^\s#]*)")
_NOT = re.compile(r"-(?=\S)|not\s++", re.IGNORECASE)
_CONNECTIVE = re.compile(r"\s++(and|or)\s++", re.IGNORECASE)
_AVOIDED = re.compile(r'-(?:"([^"]+)"|([^\W\d_][^\s"]*))')
_QUOTED = re.compile(r'(?<!\S)"([^"]*)"(?!\w)')
_LEFT = re.compile(r"[,;.!?]+(?=\s|\Z)")
"""Punctuation after a part, as in `dog #beach.`"""
_WORD = re.compile(r"\S+")
_SPACE = re.compile(r"\s*+")
_TRAILING = ",;"
"""Punctuation that is not part of a value."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Read(NamedTuple):
    """A condition, and where it ends in the line."""

    condition: Condition
    end: int


def parse(line: str) -> Parsed:
    """Read a line; see the top of this module for the format.

    Raises:
        DataError: it is not UTF-8.
        LanguageError: a condition is not valid.
    """
    if _SURROGATE.search(line):
        raise DataError(f"{line!r}: not UTF-8 text; write the query in UTF-8")
    return _Line(line).parsed()


class _Line:
    """The parts of a line, while it is read."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.parts: list[Part] = []
        self.conditions: list[Condition] = []
        self.without: list[tuple[int, str]] = []
        self.words: list[str] = []

    def parsed(self) -> Parsed:
        self.split()
        text = self.line.strip()
        if self.parts or '"' in self.line:
            text = " ".join(" ".join(self.words).split())
        without = tuple(
            dict.fromkeys(words for _, words in sorted(self.without, key=itemgetter(0)))
        )
        parts = tuple(sorted(self.parts, key=lambda part: part.start))
        return Parsed(self.line, text, without, Filter.of(self.conditions), parts)

    def split(self) -> None:
        """Go through the line once; words between two parts are looked at together."""
        line, at, plain = self.line, 0, 0
        while (at := _SPACE.match(line, at).end()) < len(line):  # type: ignore[union-attr]
            start = at
            if found := _chain(line, at, 0):
                at = found.end
                self.conditions.append(found.condition)
                part = Part("condition", start, at, spoken(found.condition))
            elif unfinished := _UNFINISHED.match(line, at):
                at = start + len(unfinished[0].rstrip())
                part = Part("unfinished", start, at, unfinished[0].strip())
            elif avoided := _AVOIDED.match(line, at):
                at = avoided.end()
                words = avoided[1] or avoided[2].rstrip(f"{_TRAILING}.!?")
                self.without.append((start, words))
                part = Part("without", start, at, f"without {words}")
            else:
                at = (_QUOTED.match(line, at) or _WORD.match(line, at)).end()  # type: ignore[union-attr]
                continue
            self.add_words(plain, start)
            self.parts.append(part)
            plain = at
        self.add_words(plain, len(line))

    def add_words(self, start: int, end: int) -> None:
        """Words between two parts, without what they negate."""
        text = self.line[start:end]
        left = _LEFT.match(text) if start else None
        at = left.end() if left else 0
        for found in negations(text):
            self.words.append(_unquoted_words(text[at : found.start]))
            at = found.end
            words = " or ".join(found.without)
            self.parts.append(Part("without", start + found.start, start + at, f"without {words}"))
            self.without += [(start + found.start, one) for one in found.without]
        self.words.append(_unquoted_words(text[at:]))


def _unquoted_words(text: str) -> str:
    """Words without the quotes around some of them, and without commas that nothing follows."""
    return _QUOTED.sub(r"\1", text).rstrip(f"{_TRAILING} ")


def _chain(line: str, at: int, depth: int) -> _Read | None:
    """Conditions that `and` and `or` connect, or one of them; None if there are only words."""
    first = _atom(line, at, depth)
    if first is None:
        return None
    groups, end = [[first.condition]], first.end
    while True:
        connective = _CONNECTIVE.match(line, end)
        # In parentheses, white space connects as well.
        start = connective.end() if connective else _SPACE.match(line, end).end()  # type: ignore[union-attr]
        following = _atom(line, start, depth) if connective or depth else None
        if following is None:
            break
        if connective and connective[1].lower() == "or":
            groups.append([])
        groups[-1].append(following.condition)
        end = following.end
    parts = [group[0] if len(group) == 1 else And(tuple(group)) for group in groups]
    return _Read(parts[0] if len(parts) == 1 else Or(tuple(parts)), end)


def _atom(line: str, at: int, depth: int) -> _Read | None:
    """A condition, its negation, or several in parentheses."""
    if depth > DEEPEST:
        return None
    if negated := _NOT.match(line, at):
        found = _atom(line, negated.end(), depth + 1)
        return found and _Read(Not(found.condition), found.end)
    if line.startswith("(", at):
        start = _SPACE.match(line, at + 1).end()  # type: ignore[union-attr]
        found = _chain(line, start, depth + 1)
        end = found and _SPACE.match(line, found.end).end()  # type: ignore[union-attr]
        if found is None or end is None or not line.startswith(")", end):
            return None
        return _Read(found.condition, end + 1)
    return _leaf(line, at, inside=depth > 0)


def _leaf(line: str, at: int, inside: bool) -> _Read | None:
    """A condition on one field."""
    if tag := _TAG.match(line, at):
        value = _cut(tag[1], inside).rstrip(".!?")
        return _Read(condition("tag", "=", value), at + 1 + len(value)) if value else None
    match = _CONDITION.match(line, at) or _SPACED.match(line, at)
    if match is None:
        return None
    name, sign, raw = match[1].lower(), match[2], _cut(match[3], inside)
    end = match.start(3) + len(raw)
    if not raw:
        return None
    try:
        found = condition(name, "=" if sign in (":", "!=") else sign, _value(raw))
    except DataError as error:
        raise LanguageError(line, at, end, str(error)) from None
    return _Read(Not(found) if sign == "!=" else found, end)


def _cut(raw: str, inside: bool) -> str:
    """A value without what follows it: punctuation, and parentheses that it does not open."""
    if raw.startswith('"'):
        return raw
    if inside:
        depth = 0
        for at, letter in enumerate(raw):
            depth += {"(": 1, ")": -1}.get(letter, 0)
            if depth < 0:
                raw = raw[:at]
                break
    return raw.rstrip(_TRAILING)


def _value(raw: str) -> str:
    """A value without its quotes; a distance can follow them, as in `near:"New York"~20km`."""
    if not raw.startswith('"'):
        return raw
    inner, quote, rest = raw[1:].rpartition('"')
    return unquoted(inner) + rest if quote else unquoted(rest)
