"""Translate conditions into the filter of an engine.

Qdrant Edge and Qdrant's client have the same filters in classes of different names; a `Dialect`
names those of one of them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from hgan.index.conditions.filter import Filter
from hgan.index.conditions.near import position_of
from hgan.index.conditions.types import (
    And,
    Camera,
    Condition,
    Folder,
    Has,
    In,
    Leaf,
    Name,
    Near,
    Not,
    Or,
    Person,
    Place,
    Rating,
    Tag,
    Taken,
)

_PRESENT = {
    "camera": "camera_words",
    "person": "people",
    "place": "places",
    "position": "geo",
    "rating": "rating",
    "tag": "tags",
    "taken": "taken",
}
"""The payload field of each field of `Has`."""


class Dialect(NamedTuple):
    """How an engine makes its filters."""

    every: Callable[[list[Any]], Any]
    """Met if all of the conditions are."""
    some: Callable[[list[Any]], Any]
    """Met if at least one of the conditions is."""
    none: Callable[[list[Any]], Any]
    """Met if none of the conditions is."""
    equals: Callable[[str, str], Any]
    """A payload field is, or contains, a word."""
    within: Callable[[str, dict[str, float]], Any]
    """A payload field is a number between bounds: `gte`, `lte`, `lt`."""
    around: Callable[[str, float, float, float], Any]
    """A payload field is a position within metres of a latitude and a longitude."""
    lacks: Callable[[str], Any]
    """There is no such payload field, or it is empty."""


def to_filter(where: Filter | None, dialect: Dialect) -> Any:
    """The filter of an engine; None if every point matches.

    Raises:
        DataError: the place of `near=` is not known.
    """
    if where is None or where.empty:
        return None
    return dialect.every([_translated(part, dialect) for part in where.parts])


def _translated(condition: Condition, dialect: Dialect) -> Any:
    match condition:
        case And(parts):
            return dialect.every([_translated(part, dialect) for part in parts])
        case Or(parts):
            return dialect.some([_translated(part, dialect) for part in parts])
        case Not(part):
            return dialect.none([_translated(part, dialect)])
        case _:
            return _leaf(condition, dialect)


def _leaf(condition: Leaf, dialect: Dialect) -> Any:
    match condition:
        case Taken(start, end):
            bounds = {"gte": start, "lt": end}
            known = {name: float(value) for name, value in bounds.items() if value is not None}
            return dialect.within("taken", known)
        case Rating(least, most):
            return dialect.within("rating", {"gte": float(least), "lte": float(most)})
        case Near(place, km):
            return dialect.around("geo", *position_of(place), 1000 * km)
        case Has(name):
            return dialect.none([dialect.lacks(_PRESENT[name])])
        case In(name):
            return dialect.some([_leaf(one, dialect) for one in (Folder(name), Place(name))])
        case _:
            return dialect.every([dialect.equals(*pair) for pair in _words(condition)])


def _words(condition: Folder | Camera | Tag | Person | Place | Name) -> list[tuple[str, str]]:
    """Pairs of a payload field and a word that it must contain."""
    match condition:
        case Folder(path):
            return [("folders", path)] if path else []
        case Camera(words):
            return [("camera_words", word) for word in words]
        case Tag(name):
            return [("tags", name)]
        case Person(name):
            return [("people", name)]
        case Place(name):
            return [("places", name.lower())]
        case Name(words):
            return [("name_words", word) for word in words]
