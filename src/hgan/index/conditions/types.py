"""Conditions as values: what one photo has to meet, and how conditions combine.

`str` of a condition is its text, which `hgan.index.conditions.parse` reads. A photo without a
value never meets a condition on it: without a time, neither `taken=2023` nor `taken<2023`. It meets
`not taken=2023`.
"""

from dataclasses import dataclass

from hgan.errors import DataError
from hgan.index.conditions.periods import FIRST, LAST, write_period
from hgan.index.conditions.writing import written

NEAR_KM = 50.0
"""Radius of `near=` in kilometres, unless it is given."""
MOST_STARS = 5


@dataclass(frozen=True)
class Folder:
    """In a folder or its subfolders."""

    path: str
    """Path relative to the root, with `/` between folders; empty for the root."""

    def __str__(self) -> str:
        return f"folder={written(self.path) if self.path else '.'}"


@dataclass(frozen=True)
class Taken:
    """Taken in a period.

    Raises:
        DataError: it is empty, or not in the years 1 to 9999.
    """

    start: int | None = None
    """Inclusive, in seconds since 1970 by the camera's clock; None for no bound."""
    end: int | None = None
    """Exclusive."""

    def __post_init__(self) -> None:
        if self.start is None and self.end is None:
            raise DataError("taken: a period needs a start or an end")
        for second in (self.start, None if self.end is None else self.end - 1):
            if second is not None and not FIRST <= second < LAST:
                raise DataError(f"taken: {second} seconds since 1970 is not in the years 1 to 9999")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise DataError("taken: the period ends before it starts")

    def __str__(self) -> str:
        period = write_period(self.start, self.end)
        if self.end is None:
            return f"taken>={period.removesuffix('..')}"
        if self.start is None:
            return f"taken<={period.removeprefix('..')}"
        return f"taken={period}"


@dataclass(frozen=True)
class Camera:
    """Make and model of the camera contain all of these words."""

    words: tuple[str, ...]
    """In lower case."""

    def __str__(self) -> str:
        return f"camera={written(' '.join(self.words))}"


@dataclass(frozen=True)
class Tag:
    """Has a tag, from the file or from a user."""

    name: str
    """In lower case."""

    def __str__(self) -> str:
        return f"tag={written(self.name)}"


@dataclass(frozen=True)
class Person:
    """Another program has named this person in the photo."""

    name: str
    """In lower case."""

    def __str__(self) -> str:
        return f"person={written(self.name)}"


@dataclass(frozen=True)
class Place:
    """Taken in this city or country."""

    name: str
    """Name of a city or country, or code of a country, in lower case."""

    def __str__(self) -> str:
        return f"place={written(self.name)}"


@dataclass(frozen=True)
class In:
    """In this folder or this place: what `in:italy` means."""

    name: str
    """As it was written."""

    def __str__(self) -> str:
        return f"in={written(self.name)}"


@dataclass(frozen=True)
class Near:
    """Taken within a distance of a place.

    Raises:
        DataError: the distance is not positive, or longer than half the equator.
    """

    place: str
    """Name of a city, or latitude and longitude in degrees, as in `38.72,-9.14`."""
    km: float = NEAR_KM
    """Distance in kilometres."""

    def __post_init__(self) -> None:
        if not 0 < self.km <= 20_000:
            raise DataError(f"near: the distance must be from 0 to 20000 km, not {self.km}")

    def __str__(self) -> str:
        distance = f"{self.km:.10f}".rstrip("0").rstrip(".")
        return f"near={written(f'{self.place}~{distance}km')}"


@dataclass(frozen=True)
class Rating:
    """Has a number of stars.

    Raises:
        DataError: the bounds are not 0 to 5, or none is between them.
    """

    least: int = 0
    most: int = MOST_STARS

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most <= MOST_STARS:
            raise DataError("rating: stars are from 0 to 5")

    def __str__(self) -> str:
        if self.least == self.most:
            return f"rating={self.least}"
        if self.most == MOST_STARS:
            return f"rating>={self.least}"
        if self.least == 0:
            return f"rating<={self.most}"
        return f"rating={self.least}..{self.most}"


@dataclass(frozen=True)
class Name:
    """The name of the file contains all of these words."""

    words: tuple[str, ...]
    """In lower case."""

    def __str__(self) -> str:
        return f"name={written(' '.join(self.words))}"


@dataclass(frozen=True)
class Has:
    """Has a value at all: `has=tag` for photos with any tag."""

    field: str
    """Name of a field, one of `HAS`."""

    def __str__(self) -> str:
        return f"has={self.field}"


HAS = ("camera", "person", "place", "position", "rating", "tag", "taken")
"""The fields that `Has` knows."""


@dataclass(frozen=True)
class Not:
    """Does not meet a condition."""

    part: "Condition"

    def __str__(self) -> str:
        return f"not {_inside(self.part, (And, Or))}"


@dataclass(frozen=True)
class And:
    """Meets two or more conditions."""

    parts: tuple["Condition", ...]

    def __str__(self) -> str:
        return " and ".join(_inside(part, (And, Or)) for part in self.parts)


@dataclass(frozen=True)
class Or:
    """Meets at least one of two or more conditions."""

    parts: tuple["Condition", ...]

    def __str__(self) -> str:
        return " or ".join(_inside(part, (Or,)) for part in self.parts)


Leaf = Folder | Taken | Camera | Tag | Person | Place | In | Near | Rating | Name | Has
"""A condition on one field."""
Condition = Leaf | And | Or | Not


def _inside(part: Condition, kinds: tuple[type, ...]) -> str:
    """A condition as a part of another one: in parentheses if it is of these kinds."""
    return f"({part})" if isinstance(part, kinds) else str(part)


def leaves(condition: Condition) -> list[Leaf]:
    """The conditions on single fields in a condition, in their order."""
    if isinstance(condition, Not):
        return leaves(condition.part)
    if isinstance(condition, And | Or):
        return [leaf for part in condition.parts for leaf in leaves(part)]
    return [condition]
