"""Search filters by folder, time, camera and tags, and their parser.

    folder=2023/italy    in this folder or its subfolders
    taken>=2023-06       June 2023 or later; also <, <=, > and =; a year, month, day or minute
    camera=Canon EOS     make and model of the camera contain all of these words
    tag=beach            has this tag, from the file or from a user; can be repeated

Times are local times of the camera, as in EXIF. A photo without a time, camera or tag never meets
a condition on it.
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

_CONDITION = re.compile(r"(\w+)\s*(>=|<=|=|>|<)(.*)", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
"""What Python makes of bytes that are not UTF-8, and engines cannot store."""
_MOMENT = re.compile(
    r"(\d{4})(?:-(\d\d?)(?:-(\d\d?)(?:[T ](\d\d?):(\d\d)(?::(\d\d))?)?)?)?", re.ASCII
)
_LENGTHS = {3: timedelta(days=1), 5: timedelta(minutes=1), 6: timedelta(seconds=1)}
"""Length of a period by the number of its parts: 2023-06-30 has three parts and is a day."""


@dataclass(frozen=True)
class Filter:
    """Conditions that must all be met; a condition that is not set is met by every photo."""

    folder: str | None = None
    """Folder relative to the root, with `/` between folders; None for all folders."""
    taken_from: int | None = None
    """Start of the period, inclusive, in seconds since 1970 by the camera's clock."""
    taken_until: int | None = None
    """End of the period, exclusive, in seconds since 1970 by the camera's clock."""
    camera: tuple[str, ...] = ()
    """Words of the camera's make and model, in lower case."""
    tags: tuple[str, ...] = ()
    """Tags in lower case."""

    @property
    def empty(self) -> bool:
        """Whether every photo matches."""
        return self == Filter()

    def conditions(self) -> tuple[str, ...]:
        """The conditions as texts; `parse` converts them to an equal filter.

        Raises:
            DataError: a time is before the year 1 or after the year 9999.
        """
        found = [] if self.folder is None else [f"folder={_protected(self.folder)}"]
        for sign, moment in ((">=", self.taken_from), ("<", self.taken_until)):
            if moment is not None:
                found.append(f"taken{sign}{_iso_time(moment)}")
        if self.camera:
            found.append(f"camera={' '.join(self.camera)}")
        return (*found, *(f"tag={tag}" for tag in self.tags))

    @classmethod
    def parse(cls, conditions: Iterable[str]) -> Self:
        """Parse conditions, one per text; see the top of this module for the format.

        Raises:
            DataError: a condition is not valid, or there are two folders.
        """
        found = cls()
        for text in conditions:
            found = found._and(text)
        return found

    def _and(self, text: str) -> Self:
        match = _CONDITION.fullmatch(text.strip())
        name, sign, value = match.groups() if match else ("", "", "")
        value = value.strip()
        if _SURROGATE.search(text):
            raise DataError(f"{text!r}: not UTF-8 text; write the condition in UTF-8")
        if not value:
            raise DataError(f"{text!r} is not a valid condition; write one such as {EXAMPLES}")
        if name == "taken":
            return self._within(text, sign, value)
        if name not in ("folder", "camera", "tag"):
            raise DataError(
                f"{text!r}: photos cannot be filtered by {name!r}, only by folder, taken, camera "
                f"and tag: {EXAMPLES}"
            )
        if sign != "=":
            raise DataError(f"{text!r}: {name} supports only =; write {name}={value}")
        if name == "folder":
            if self.folder is not None:
                raise DataError(f"{text!r}: the folder is given twice; remove one")
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
    """Normalise a folder below the root, as in `Entry.folders`; None for the root itself.

    Raises:
        DataError: the path is absolute, or contains `..`.
    """
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(
            f"{text!r}: write the path of a folder relative to the indexed folder, such as "
            "2023/italy"
        )
    return str(path) if path.name else None


def _protected(folder: str) -> str:
    """A folder of which `parse` removes no white space, as it does around other values."""
    return folder if folder == folder.strip() else f"./{folder}/."


def camera_words(camera: str) -> tuple[str, ...]:
    """The words of a camera's make and model, in lower case, as filters compare them."""
    return _joined((), tuple(camera.lower().split()))


def _iso_time(moment: int) -> str:
    """Format seconds since 1970 as an ISO 8601 time without a time zone."""
    try:
        return (datetime(1970, 1, 1) + timedelta(seconds=moment)).isoformat()
    except OverflowError as error:
        raise DataError(
            f"taken: {moment} seconds since 1970 is not in the years 1 to 9999"
        ) from error


def _joined(first: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *more)))


def _period(text: str, value: str) -> tuple[int, int]:
    """First second of a year, month, day, minute or second, and the first second after it."""
    match = _MOMENT.fullmatch(value)
    try:
        if match is None:
            raise ValueError("unknown format")
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
