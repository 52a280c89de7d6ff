"""Read a condition, or several that are combined: `rating>=4 or tag=beach`, `not camera=canon`.

    condition   FIELD SIGN VALUE, see `hgan.index.conditions.fields`; `!=` is `not` with `=`
    not C       photos that do not meet C
    A and B     both
    A or B      at least one of them; `and` binds more closely
    ( ... )     grouping

A value ends at the end of the text, at a closing parenthesis, or before `and` or `or` if another
condition follows; so `folder=2023/rock and roll` is one folder. A value in double quotes ends with
the quotes.
"""

import re

from hgan.errors import DataError
from hgan.index.conditions.fields import EXAMPLES, FIELDS, condition
from hgan.index.conditions.types import And, Condition, Not, Or
from hgan.index.conditions.writing import QUOTED, unquoted

DEEPEST = 20
"""Maximum depth of parentheses and `not`."""

_SIGNS = r">=|<=|!=|=|>|<|:"
_KNOWN = rf"(?:{'|'.join(sorted(FIELDS, key=len, reverse=True))})\s*(?:{_SIGNS})"
_HEAD = re.compile(rf"(\w+)\s*({_SIGNS})\s*", re.DOTALL)
_STOP = re.compile(
    rf"[()]|(?<=\s)(?:and|or)\s++(?=(?:not\s++|\(\s*+)*{_KNOWN})", re.IGNORECASE | re.DOTALL
)
_NOT = re.compile(r"not(?:\s+|(?=\())", re.IGNORECASE)
_AND = re.compile(r"\s*(?:(?<=[\s\")])|^)and\b\s*", re.IGNORECASE)
_OR = re.compile(r"\s*(?:(?<=[\s\")])|^)or\b\s*", re.IGNORECASE)
_SPACE = re.compile(r"\s*")
_SURROGATE = re.compile("[\ud800-\udfff]")
"""What Python makes of bytes that are not UTF-8, and engines cannot store."""


def parse_condition(text: str) -> Condition:
    """Parse a condition; see the top of this module for the format.

    Raises:
        DataError: it is not valid; the message says where, and what to write.
    """
    if _SURROGATE.search(text):
        raise DataError(f"{text!r}: not UTF-8 text; write the condition in UTF-8")
    try:
        return _Parser(text.strip()).whole()
    except DataError as error:
        raise DataError(f"{text.strip()!r}: {error}") from None


class _Parser:
    """A parser by recursive descent; `at` is the position in the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.open = 0
        """Number of open parentheses."""

    def whole(self) -> Condition:
        found = self.any()
        if self.at < len(self.text):
            raise DataError(f"{self.text[self.at :]!r} is not expected; write and or or before it")
        return found

    def any(self) -> Condition:
        parts = [self.all()]
        while self.skip(_OR):
            parts.append(self.all())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def all(self) -> Condition:
        parts = [self.one()]
        while self.skip(_AND):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def one(self) -> Condition:
        self.depth += 1
        if self.depth > DEEPEST:
            raise DataError(f"parentheses and not can be nested {DEEPEST} deep")
        try:
            if self.skip(_NOT):
                return Not(self.one())
            if self.text.startswith("(", self.at):
                return self.group()
            return self.leaf()
        finally:
            self.depth -= 1

    def group(self) -> Condition:
        self.at += 1
        self.open += 1
        self.skip(_SPACE)
        found = self.any()
        self.skip(_SPACE)
        if not self.text.startswith(")", self.at):
            raise DataError("a closing parenthesis is missing; write ) at the end")
        self.at += 1
        self.open -= 1
        self.skip(_SPACE)
        return found

    def leaf(self) -> Condition:
        head = _HEAD.match(self.text, self.at)
        if head is None:
            rest = self.text[self.at :]
            where = f"after {self.text[: self.at]!r}, " if self.at else ""
            raise DataError(
                f"{where}{rest!r} is not a valid condition; write one such as {EXAMPLES}"
            )
        name, sign = head[1], head[2]
        self.at = head.end()
        value = self.value()
        if not value:
            raise DataError(
                f"{head[0]!r} is not a valid condition without a value; write one such as "
                f"{EXAMPLES}"
            )
        name = name.lower() if name.lower() in FIELDS else name
        if sign == "!=":
            return Not(condition(name, "=", value))
        return condition(name, "=" if sign == ":" else sign, value)

    def value(self) -> str:
        quotes = QUOTED.match(self.text, self.at)
        if quotes is not None and self.ends(quotes.end()):
            self.at = quotes.end()
            self.skip(_SPACE)
            return unquoted(quotes[1])
        start, inner = self.at, 0
        self.at = len(self.text)
        for stop in _STOP.finditer(self.text, start):
            if stop[0] == "(":
                inner += 1
            elif stop[0] == ")" and inner:
                inner -= 1
            elif stop[0] != ")" or self.open:
                self.at = stop.start()
                break
        return self.text[start : self.at].strip()

    def ends(self, at: int) -> bool:
        """Whether a value can end at this position."""
        rest = self.text[at : at + 1]
        return not rest or rest.isspace() or (rest == ")" and self.open > 0)

    def skip(self, pattern: re.Pattern[str]) -> bool:
        found = pattern.match(self.text, self.at)
        if found is None:
            return False
        self.at = found.end()
        return True
