"""The fields of conditions: what they are called, which signs they take, what values they read."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

from hgan.errors import DataError
from hgan.index.conditions.periods import is_period, read_moment, read_period
from hgan.index.conditions.types import (
    HAS,
    MOST_STARS,
    NEAR_KM,
    Camera,
    Folder,
    Has,
    In,
    Leaf,
    Name,
    Near,
    Person,
    Place,
    Rating,
    Tag,
    Taken,
)
from hgan.runtime.formats import is_video, kind_of
from hgan.runtime.metadata.text import clean_tag

EXAMPLES = (
    "folder=2023/italy, taken>=2023-06, taken=2023..2024, camera=Canon EOS, tag=beach, "
    "person=Ann, place=Lisbon, near=Lisbon~20km, rating>=4, name=img_12, has=tag"
)

_ALIASES = {
    "dir": "folder",
    "date": "taken",
    "people": "person",
    "with": "person",
    "city": "place",
    "country": "place",
    "stars": "rating",
    "file": "name",
}
_PERIODS = {"on": "=", "before": "<", "after": ">", "since": ">=", "until": "<="}
"""Fields that are a time and a sign."""
_DISTANCE = re.compile(r"(.*?)\s*~\s*(\d+(?:\.\d+)?)\s*(?:km)?", re.DOTALL | re.IGNORECASE)
_RATINGS = re.compile(r"(\d)?\s*(\.\.)?\s*(\d)?", re.ASCII)

ORDERED = ("taken", "date", "rating", "stars")
"""Fields that can be compared with <, <=, > and >=."""


def condition(name: str, sign: str, value: str) -> Leaf:
    """The condition that a field has a value.

    Args:
        name: name of the field, in lower case.
        sign: `=`, `<`, `<=`, `>` or `>=`.
        value: the value, without quotes.

    Raises:
        DataError: there is no such field, or it does not have such values.
    """
    if name not in FIELDS:
        raise DataError(
            f"photos cannot be filtered by {name!r}, only by {', '.join(NAMES)}: {EXAMPLES}"
        )
    if not value.strip():
        raise DataError(f"{name} needs a value; write one such as {EXAMPLES}")
    name = _ALIASES.get(name, name)
    if sign != "=" and name not in ORDERED:
        raise DataError(f"{name} supports only =; write {name}={value}")
    if name in _PERIODS:
        name, sign = "taken", _PERIODS[name]
    if name == "taken":
        return _taken(sign, value)
    if name == "rating":
        return _rating(sign, value)
    return _READERS[name](value)


def inner_folder(text: str) -> str:
    """Normalise a folder below the root, as in `Entry.folders`; empty for the root itself.

    Raises:
        DataError: the path is absolute, or contains `..`.
    """
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(
            f"{text!r}: write the path of a folder relative to the indexed folder, such as "
            "2023/italy"
        )
    return str(path) if path.name else ""


def camera_words(camera: str) -> tuple[str, ...]:
    """The words of a camera's make and model, in lower case, as filters compare them."""
    return tuple(dict.fromkeys(camera.lower().split()))


def name_words(name: str) -> tuple[str, ...]:
    """The words of a file's name without its suffix, in lower case, as filters compare them."""
    stem = PurePosixPath(name).stem if kind_of(name) or is_video(name) else name
    return tuple(dict.fromkeys(re.findall(r"[^\W_]+", stem.lower())))


def _taken(sign: str, value: str) -> Taken:
    if sign == "=":
        return Taken(*read_period(value))
    start, end = read_moment(value)
    since = {">=": start, ">": end}.get(sign)
    until = {"<": start, "<=": end}.get(sign)
    return Taken(since, until)


def _rating(sign: str, value: str) -> Rating:
    match = _RATINGS.fullmatch(value)
    first, dots, last = match.groups() if match else (None, None, None)
    if not (first or last) or (last and not dots) or (dots and sign != "="):
        raise DataError(
            f"{value!r} is not a rating; write a number of stars from 0 to 5, such as rating>=4, "
            "or a range, such as rating=3..5"
        )
    least, most = int(first or 0), int(last or (MOST_STARS if dots else first or 0))
    bounds = {
        "=": (least, most),
        ">=": (least, MOST_STARS),
        ">": (least + 1, MOST_STARS),
        "<=": (0, least),
        "<": (0, least - 1),
    }[sign]
    if not 0 <= bounds[0] <= bounds[1] <= MOST_STARS:
        raise DataError(f"no photo has rating{sign}{value}, because stars are from 0 to 5")
    return Rating(*bounds)


def _in(value: str) -> Leaf:
    return Taken(*read_period(value)) if is_period(value) else In(value)


def _near(value: str) -> Near:
    match = _DISTANCE.fullmatch(value)
    place, km = (match[1], float(match[2])) if match else (value, NEAR_KM)
    if not place.strip():
        raise DataError("near needs a place; write near=Lisbon, or near=Lisbon~20km")
    return Near(place, km)


def _name(value: str) -> Name:
    words = name_words(value)
    if not words:
        raise DataError(f"{value!r} has no letters or digits; write a part of a name: name=img_12")
    return Name(words)


def _has(value: str) -> Has:
    name = value.lower()
    name = {"gps": "position", "tags": "tag"}.get(name, _ALIASES.get(name, name))
    if name not in HAS:
        raise DataError(f"{value!r} is not known; write has= with one of {', '.join(HAS)}")
    return Has(name)


_READERS: dict[str, Callable[[str], Leaf]] = {
    "folder": lambda value: Folder(inner_folder(value)),
    "camera": lambda value: Camera(camera_words(value)),
    "tag": lambda value: Tag(clean_tag(value)),
    "person": lambda value: Person(clean_tag(value)),
    "place": lambda value: Place(clean_tag(value)),
    "in": _in,
    "near": _near,
    "name": _name,
    "has": _has,
}

NAMES = ("folder", "taken", "camera", "tag", "person", "place", "near", "rating", "name", "has")
"""The fields, by the names that are listed."""
FIELDS = frozenset({*_READERS, "taken", "rating", *_PERIODS, *_ALIASES})
"""Every name that a field has."""
