"""The values that an index holds, with the number of photos of each.

They complete what a person types, and tell a value that no photo has from a rare one. Counting
takes milliseconds with thousands of photos, and longer with millions. So counts are kept, for
longer if they took longer; changes of the index are seen after that.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import NamedTuple

from hgan.index.conditions.accents import without_accents
from hgan.index.conditions.fields import camera_words
from hgan.index.conditions.filter import Filter
from hgan.index.conditions.types import (
    MOST_STARS,
    And,
    Camera,
    Condition,
    Folder,
    In,
    Leaf,
    Not,
    Or,
    Person,
    Place,
    Rating,
    Tag,
    Taken,
    leaves,
)
from hgan.index.store.contract import Store
from hgan.runtime.metadata.text import seconds
from hgan.terminal import visible

MOST_VALUES = 10_000
"""Maximum number of values of a field that are counted, the most frequent ones."""
KEPT_FOR = 20
"""How long counts are kept, as a multiple of the time that counting took."""
SHOWN = 3
"""Maximum number of values that a message names."""
FIRST_YEAR = 1826
"""Of the first photo that was ever taken."""

Counts = Mapping[str, int]
"""Number of photos of each value, most frequent first."""

FIELDS = {
    "folder": "folders",
    "camera": "camera",
    "tag": "tags",
    "person": "people",
    "place": "places",
    "city": "city",
}
"""The payload field of each field whose values are counted."""


class _Kept(NamedTuple):
    counts: Counts
    until: float


class Values:
    """The values of an index; all methods are thread-safe.

    All of them raise `IndexingError` if the engine fails.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[str, _Kept] = {}

    def of(self, field: str) -> Counts:
        """The values of a field of `FIELDS`."""
        return self._counted(field, lambda: self._store.counts(FIELDS[field], MOST_VALUES))

    def names(self, field: str) -> Counts:
        """The values of a field as people write them: without codes of countries, and without
        places that are there a second time without their accents."""
        known = self.of(field)
        if field != "place":
            return known
        plain = {without_accents(name) for name in known if without_accents(name) != name}
        return {name: n for name, n in known.items() if len(name) > 2 and name not in plain}

    def years(self) -> Counts:
        """The years in which photos were taken."""
        return self._counted("years", lambda: dict(self._periods(_years())))

    def months(self, year: int) -> Counts:
        """The months of a year in which photos were taken."""
        firsts = [(f"{year}-{month:02}", datetime(year, month, 1)) for month in range(1, 13)]
        periods = [*firsts, ("", datetime(year + 1, 1, 1))]
        return self._counted(f"months {year}", lambda: dict(self._periods(periods)))

    def stars(self) -> Counts:
        """The numbers of stars that photos have."""

        def count() -> Counts:
            found = {str(n): self._count(Rating(n, n)) for n in range(MOST_STARS, -1, -1)}
            return {stars: photos for stars, photos in found.items() if photos}

        return self._counted("stars", count)

    def resolve(self, where: Filter) -> Filter:
        """The filter with values as the index has them.

        A folder that does not exist is looked for without regard to case, then below other
        folders: `folder=italy` finds `2023/Italy`. `in=italy` is a folder, a place, or both.
        """
        if not any(isinstance(leaf, Folder | In) for part in where.parts for leaf in leaves(part)):
            return where
        return Filter(tuple(self._resolved(part) for part in where.parts))

    def unknown(self, where: Filter) -> list[str]:
        """For each value in a filter that no photo has: a message with similar ones."""
        found = [leaf for part in where.parts for leaf in leaves(part)]
        return [message for leaf in dict.fromkeys(found) if (message := self._missing(leaf))]

    def _resolved(self, condition: Condition) -> Condition:
        match condition:
            case Not(part):
                return Not(self._resolved(part))
            case And(parts):
                return And(tuple(map(self._resolved, parts)))
            case Or(parts):
                return Or(tuple(map(self._resolved, parts)))
            case Folder(path):
                return _any([Folder(one) for one in self._folders(path)]) or condition
            case In(name):
                places = [Place(name.lower())] if name.lower() in self.of("place") else []
                folders = [Folder(one) for one in self._folders(name)]
                return _any([*folders, *places]) or condition
            case _:
                return condition

    def _folders(self, path: str) -> list[str]:
        """The folders that a path means; empty if there is none."""
        known = self.of("folder")
        if not path or path in known:
            return [path]
        lower = path.lower()
        same = [folder for folder in known if folder.lower() == lower]
        return same or [folder for folder in known if folder.lower().endswith(f"/{lower}")]

    def _missing(self, leaf: Leaf) -> str | None:
        match leaf:
            case Folder(path) if not self._folders(path):
                return self._message("folder", path)
            case In(name) if not self._folders(name) and name.lower() not in self.of("place"):
                return self._message("folder or place", name, "folder", "place")
            case Tag(name) if name not in self.of("tag"):
                return self._message("tag", name)
            case Person(name) if name not in self.of("person"):
                return self._message("person", name)
            case Place(name) if name not in self.of("place"):
                return self._message("place", name)
            case Camera(words) if not any(
                set(words) <= set(camera_words(camera)) for camera in self.of("camera")
            ):
                return self._message("camera", " ".join(words))
            case Taken(start) if not self._count(leaf):
                return self._no_time(start)
        return None

    def _no_time(self, start: int | None) -> str:
        """The message about a period without photos. A folder may have the name of its year."""
        known = self.years()
        if not known:
            return "no photo has a time"
        latest = sorted(known, reverse=True)[:SHOWN]
        listed = ", ".join(f"{year} ({known[year]:,})" for year in latest)
        more = ", …" if len(known) > len(latest) else ""
        message = f"no photo was taken then; there are {listed}{more}"
        year = "" if start is None else str(datetime.fromtimestamp(start, UTC).year)
        if folders := self._folders(year) if year else []:
            message += f", and the folder {folders[0]}: folder:{folders[0]}"
        return message

    def _message(self, what: str, value: str, *fields: str) -> str | None:
        known = {name: n for field in fields or (what,) for name, n in self.names(field).items()}
        if len(known) >= MOST_VALUES:  # it may be one that was not counted
            return None
        if not known:
            return f"no photo has a {what}"
        lower = {name.lower(): name for name in known}
        lower |= {name.lower().rpartition("/")[2]: name for name in known}
        near = difflib.get_close_matches(value.lower(), lower, SHOWN)
        names = list(dict.fromkeys(lower[name] for name in near)) or list(known)[:SHOWN]
        listed = ", ".join(f"{visible(name)} ({known[name]:,})" for name in names)
        more = ", …" if len(known) > len(names) else ""
        return f"no photo has the {what} {visible(value)!r}; there are {listed}{more}"

    def _periods(self, starts: list[tuple[str, datetime]]) -> Iterable[tuple[str, int]]:
        """The number of photos of each period between two starts, without empty periods. Halves
        without photos are not looked into."""
        if len(starts) < 2:
            return
        photos = self._count(Taken(seconds(starts[0][1]), seconds(starts[-1][1])))
        if photos and len(starts) == 2:
            yield starts[0][0], photos
        elif photos:
            middle = len(starts) // 2
            yield from self._periods(starts[middle:])
            yield from self._periods(starts[: middle + 1])

    def _count(self, condition: Condition) -> int:
        return self._store.count(Filter((condition,)))

    def _counted(self, name: str, count: Callable[[], Counts]) -> Counts:
        kept = self._kept.get(name)
        now = monotonic()
        if kept is None or now >= kept.until:
            counts = count()
            done = monotonic()
            kept = self._kept[name] = _Kept(counts, done + KEPT_FOR * (done - now))
        return kept.counts


def _years() -> list[tuple[str, datetime]]:
    """The years until the one after the next, which starts the last period."""
    last = datetime.now().year + 2
    return [(str(year), datetime(year, 1, 1)) for year in range(FIRST_YEAR, last + 1)]


def _any(parts: list[Folder | Place]) -> Condition | None:
    """At least one of several conditions; None if there are none."""
    return Or(tuple(parts)) if len(parts) > 1 else parts[0] if parts else None
