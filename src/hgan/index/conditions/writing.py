"""How values are written in a condition: as they are, or in quotes where they would be misread."""

import re

_PLAIN = re.compile(r"[^\s\"()\\]+(?: [^\s\"()\\]+)*")
_CONNECTIVE = re.compile(r"(?:^|\s)(?:and|or|not)(?:\s|$)", re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
"""A value in quotes; a backslash protects quotes and backslashes in it."""


def quoted(value: str) -> str:
    """A value in quotes."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(value: str) -> str:
    """A value as `hgan.index.conditions.parse` reads it."""
    plain = _PLAIN.fullmatch(value) and not _CONNECTIVE.search(value)
    return value if plain else quoted(value)


def unquoted(inner: str) -> str:
    """What was between quotes, without the backslashes."""
    return _ESCAPED.sub(r"\1", inner)
