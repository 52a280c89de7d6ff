"""Periods of time as text: 2023, 2023-06, 2023-06-30T12:30, and ranges such as 2023-06..2023-08.

A period is [start, end), in seconds since 1970 by the camera's clock. Times are local times of the
camera, as in EXIF.
"""

import re
from datetime import datetime, timedelta

from hgan.errors import DataError
from hgan.runtime.metadata.text import seconds

FIRST, LAST = -62_135_596_800, 253_402_300_799
"""The first second of the year 1, and the last of the year 9999."""

_MOMENT = re.compile(
    r"(\d{4})(?:-(\d\d?)(?:-(\d\d?)(?:[T ](\d\d?):(\d\d)(?::(\d\d))?)?)?)?", re.ASCII
)
_LENGTHS = {3: timedelta(days=1), 5: timedelta(minutes=1), 6: timedelta(seconds=1)}
"""Length of a period by the number of its parts: 2023-06-30 has three parts and is a day."""
_FORMS = ("%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")
"""How a period is written, the longest first."""

Period = tuple[int | None, int | None]
"""Start and end; None if it is open on this side."""


def is_period(value: str) -> bool:
    """Whether a text looks like a time or a range of times, even if there is no such day."""
    first, dots, last = value.partition("..")
    parts = [part for part in (first, last) if part.strip()] if dots else [first]
    return bool(parts) and all(_MOMENT.fullmatch(part.strip()) for part in parts)


def read_period(value: str) -> Period:
    """The period of a year, month, day, minute or second, or of a range.

    Raises:
        DataError: it is not a time, or the range ends before it starts.
    """
    first, dots, last = (part.strip() for part in value.partition(".."))
    if not dots:
        return read_moment(first)
    if not (first or last):
        raise DataError(f"{value!r} is not a time; write a range such as 2023..2024")
    start = read_moment(first)[0] if first else None
    end = read_moment(last)[1] if last else None
    if start is not None and end is not None and end <= start:
        raise DataError(f"the range ends before it starts; write {last}..{first}")
    return start, end


def read_moment(value: str) -> tuple[int, int]:
    """First second of a year, month, day, minute or second, and the first second after it.

    Raises:
        DataError: it is not a time.
    """
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
            f"{value!r} is not a time ({error}); write a year, a month, a day or a minute: 2023, "
            "2023-06, 2023-06-30, 2023-06-30T12:30"
        ) from error
    return seconds(start), seconds(end)


def write_period(start: int | None, end: int | None) -> str:
    """A period in its shortest form, which `read_period` converts to the same period."""
    for form in _FORMS:
        first = None if start is None else _moment(start).strftime(form)
        last = None if end is None else _moment(end - 1).strftime(form)
        text = _padded(first) if first == last else f"{_padded(first)}..{_padded(last)}"
        if _is(text, start, end):
            break
    return text


def _is(text: str, start: int | None, end: int | None) -> bool:
    try:
        return read_period(text) == (start, end)
    except DataError:  # the period includes the end of the year 9999
        return False


def _moment(second: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(seconds=second)


def _padded(text: str | None) -> str:
    """A time with four digits of the year, which `strftime` does not always write."""
    if text is None:
        return ""
    year, dash, rest = text.partition("-")
    return f"{year:0>4}{dash}{rest}"
