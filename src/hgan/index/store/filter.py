"""Filters of a search, by folder, time, camera and tags; one parser for every caller.

    folder=2023/italy    in this folder, at any depth
    taken>=2023-06       from June 2023 on; also <, <=, > and =; a year, a month, a day or a minute
    camera=Canon EOS     cameras whose make and model have all of these words
    tag=beach            has this tag, in the file or from a user; given twice, both of the tags

Times are those of the camera's own clock, as in EXIF. Photos without a time, camera or tag never
pass a condition on it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Self

from hgan.errors import DataError
from hgan.runtime.exif import clean_tag, seconds

EXAMPLES = "folder=2023/italy, taken>=2023-06, taken<2024, camera=Canon EOS, tag=beach"

_CONDITION = re.compile(r"\s*(\w+)\s*(>=|<=|=|>|<)\s*(.*?)\s*", re.DOTALL)
_MOMENT = re.compile(
    r"(\d{4})(?:-(\d\d?)(?:-(\d\d?)(?:[T ](\d\d?):(\d\d)(?::(\d\d))?)?)?)?", re.ASCII
)
_LENGTHS = {3: timedelta(days=1), 5: timedelta(minutes=1), 6: timedelta(seconds=1)}
"""Length of the period that so many numbers name: 2023-06-30 is a day."""


@dataclass(frozen=True)
class Filter:
    """Conditions that must all hold; a condition that is not set holds for every photo."""

    folder: str | None = None
    """Relative to the root, with `/` between folders; None for all of them."""
    taken_from: int | None = None
    """Seconds since 1970 by the camera's clock, this one included."""
    taken_until: int | None = None
    """Seconds since 1970 by the camera's clock, this one excluded."""
    camera: tuple[str, ...] = ()
    """Words of the camera's make and model, in lower case."""
    tags: tuple[str, ...] = ()
    """In lower case."""

    @property
    def empty(self) -> bool:
        """True where every photo passes."""
        return self == Filter()

    def conditions(self) -> tuple[str, ...]:
        """The conditions as text, of which `parse` makes an equal filter.

        Raises:
            DataError: a time is before the year 1 or after the year 9999.
        """
        found = [] if self.folder is None else [f"folder={self.folder}"]
        for sign, moment in ((">=", self.taken_from), ("<", self.taken_until)):
            if moment is not None:
                found.append(f"taken{sign}{_written(moment)}")
        if self.camera:
            found.append(f"camera={' '.join(self.camera)}")
        return (*found, *(f"tag={tag}" for tag in self.tags))

    @classmethod
    def parse(cls, conditions: Iterable[str]) -> Self:
        """Read conditions, one per text, in the form that the top of this file shows.

        Raises:
            DataError: a text is not a condition, or contradicts one before it.
        """
        found = cls()
        for text in conditions:
            found = found._and(text)
        return found

    def _and(self, text: str) -> Self:
        match = _CONDITION.fullmatch(text)
        name, sign, value = match.groups() if match else ("", "", "")
        if not value:
            raise DataError(f"{text!r} is not a condition; write one such as {EXAMPLES}")
        if name == "taken":
            return self._within(text, sign, value)
        if name not in ("folder", "camera", "tag"):
            raise DataError(
                f"{text!r}: photos cannot be chosen by {name!r}, only by folder, taken, camera and "
                f"tag: {EXAMPLES}"
            )
        if sign != "=":
            raise DataError(f"{text!r}: {name} has no order; write {name}={value}")
        if name == "folder":
            if self.folder is not None:
                raise DataError(f"{text!r}: the folder is given twice; leave one out")
            return replace(self, folder=inner_folder(value))
        if name == "camera":
            return replace(self, camera=_joined(self.camera, camera_words(value)))
        return replace(self, tags=_joined(self.tags, (clean_tag(value),)))

    def _within(self, text: str, sign: str, value: str) -> Self:
        start, end = _period(text, value)
        since = {">=": start, ">": end, "=": start}.get(sign)
        until = {"<": start, "<=": end, "=": end}.get(sign)
        if self.taken_from is not None and since is not None:
            since = max(since, self.taken_from)
        if self.taken_until is not None and until is not None:
            until = min(until, self.taken_until)
        return replace(
            self,
            taken_from=self.taken_from if since is None else since,
            taken_until=self.taken_until if until is None else until,
        )


def inner_folder(text: str) -> str | None:
    """A folder below the root as photos name it; None for the root itself."""
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(
            f"{text!r}: write the path of the folder below the one that was indexed, such as "
            "2023/italy"
        )
    return str(path) if path.name else None


def camera_words(camera: str) -> tuple[str, ...]:
    """The words by which a camera is found, in lower case."""
    return _joined((), tuple(camera.lower().split()))


def _written(moment: int) -> str:
    """Seconds since 1970 as a time to the second."""
    try:
        return (datetime(1970, 1, 1) + timedelta(seconds=moment)).isoformat()
    except OverflowError as error:
        raise DataError(
            f"taken: {moment} seconds since 1970 is not in the years 1 to 9999"
        ) from error


def _joined(first: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *more)))


def _period(text: str, value: str) -> tuple[int, int]:
    """First second of a year, month, day, minute or second, and the first one after it."""
    match = _MOMENT.fullmatch(value)
    try:
        if match is None:
            raise ValueError("not in this form")
        parts = [int(part) for part in match.groups() if part is not None]
        year, month, day, hour, minute, second = parts + [0, 1, 1, 0, 0, 0][len(parts) :]
        start = datetime(year, month, day, hour, minute, second)
        if len(parts) == 1:
            end = datetime(year + 1, 1, 1)
        elif len(parts) == 2:
            end = datetime(year + month // 12, month % 12 + 1, 1)
        else:
            end = start + _LENGTHS[len(parts)]
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{text!r}: {value!r} is not a time ({error}); write a year, a month, a day or a "
            "minute: 2023, 2023-06, 2023-06-30, 2023-06-30T12:30"
        ) from error
    return seconds(start), seconds(end)
