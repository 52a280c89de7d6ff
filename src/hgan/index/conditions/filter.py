"""Search filters: the conditions that photos must meet."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from hgan.index.conditions.parse import parse_condition
from hgan.index.conditions.types import Condition, Folder


@dataclass(frozen=True)
class Filter:
    """Conditions that must all be met; `Filter()` is met by every photo.

    `Filter.parse` reads conditions as they are written on the command line:

        folder=2023/italy    in this folder or its subfolders
        taken>=2023-06       June 2023 or later; also <, <=, > and =; a year, month, day or minute
        taken=2023..2024     a range, both years included
        camera=Canon EOS     make and model of the camera contain all of these words
        tag=beach            has this tag, from the file or from a user
        person=Ann           another program has named this person in the photo
        place=Portugal       taken in this city or country
        near=Lisbon~20km     taken within 20 km of a city, by default 50 km
        rating>=4            has at least four stars; rating=3..5 is a range
        name=img_12          the name of the file contains these words
        has=tag              has any tag; also camera, person, place, position, rating, taken

    `and`, `or`, `not` and parentheses combine them: `rating>=4 or tag=beach`, `not camera=canon`.
    Times are local times of the camera, as in EXIF. A photo without a value never meets a condition
    on it.
    """

    parts: tuple[Condition, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether every photo matches."""
        return not self.parts

    def conditions(self) -> tuple[str, ...]:
        """The conditions as texts; `parse` converts them to an equal filter."""
        return tuple(map(str, self.parts))

    @classmethod
    def parse(cls, conditions: Iterable[str]) -> Self:
        """Parse conditions, one or several combined per text.

        Raises:
            DataError: a condition is not valid.
        """
        return cls.of(map(parse_condition, conditions))

    @classmethod
    def of(cls, conditions: Iterable[Condition]) -> Self:
        """All of these conditions, each once; the root folder is none."""
        found = dict.fromkeys(conditions)
        return cls(tuple(one for one in found if one != Folder("")))

    def __and__(self, other: "Filter") -> "Filter":
        """The conditions of both."""
        return Filter.of((*self.parts, *other.parts))
