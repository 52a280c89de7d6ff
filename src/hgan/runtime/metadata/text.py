"""Values of metadata as text: one line, tags, times."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

LONGEST = 100
"""Maximum length of a camera, a tag or a name in characters; longer ones are truncated."""
MOST_TAGS = 100
"""Maximum number of tags, or of people, of a photo; further ones are ignored."""

_TIME = re.compile(r"(\d{4})\D(\d\d)\D(\d\d)\D+(\d\d)\D(\d\d)(?:\D(\d\d))?", re.ASCII)


def line(value: object) -> str:
    """A field as one line of printable text, without padding of zeros and spaces; empty if it is
    not text."""
    if not isinstance(value, str):
        return ""
    printable = (c if c.isprintable() else " " for c in value.partition("\0")[0])
    return " ".join("".join(printable).split())


def clean_tag(tag: str) -> str:
    """A tag as it is stored and compared: lower case, single spaces."""
    return " ".join(tag.lower().split())


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags or names as they are stored: each once, at most `MOST_TAGS`."""
    clean = dict.fromkeys(clean_tag(tag)[:LONGEST].rstrip() for tag in tags)
    return tuple(tag for tag in clean if tag)[:MOST_TAGS]


def seconds(moment: datetime) -> int:
    """Seconds since 1970 of a local time, as if it were UTC; cameras do not know time zones."""
    return round(moment.replace(tzinfo=UTC).timestamp())


def first_time(times: Iterable[object]) -> int | None:
    """The first of several times that is valid, see `seconds`.

    They are written as in EXIF (`2023:07:14 10:32:05`) or XMP (`2023-07-14T10:32:05+02:00`, whose
    time zone is ignored).
    """
    for time in times:
        found = _TIME.match(line(time))
        if found:
            year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
            try:
                return seconds(datetime(year, month, day, hour, minute, second))
            except ValueError:  # 0000:00:00, of a camera whose clock was never set
                continue
    return None
