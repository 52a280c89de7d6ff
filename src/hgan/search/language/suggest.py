"""Complete what a person types: names of fields, and values that the index holds."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from hgan.index.conditions.fields import FIELDS, NAMES
from hgan.index.conditions.periods import is_period
from hgan.index.conditions.types import HAS
from hgan.index.conditions.writing import quoted
from hgan.search.values import Counts, Values

LEAST_LETTERS = 3
"""Letters of a plain word from which values are suggested."""
_FROM_WORDS = 3
"""Maximum number of values that are suggested for a plain word."""

_VALUE = re.compile(
    rf"(?:^|(?<=[\s(]))(-?)({'|'.join(sorted(FIELDS, key=len, reverse=True))})"
    r'(:|>=|<=|!=|=|>|<)(?:"([^"]*)|([^\s"]*))\Z',
    re.IGNORECASE,
)
_TAG = re.compile(r"(?:^|(?<=[\s(]))(-?)#([^\s#]*)\Z")
_WORD = re.compile(r"(?:^|(?<=[\s(]))(-?)([^\W\d_]+)\Z")
_NAMED = ("in", *NAMES, "on", "before", "after")
"""Names of fields that are suggested."""


class Suggestion(NamedTuple):
    """What can replace a part of a line."""

    text: str
    """What to write."""
    start: int
    """Where the part starts that it replaces, in characters."""
    end: int
    kind: Literal["field", "value"]
    """A field needs a value, which is suggested next."""
    photos: int | None = None
    """How many photos have the value; None if that is not known."""


def suggest(values: Values, line: str, at: int | None = None, limit: int = 8) -> list[Suggestion]:
    """What can be written where a person is typing, the best first.

    Args:
        values: the values of the index.
        line: the line.
        at: position of the cursor, by default the end of the line.
        limit: maximum number of suggestions.

    Raises:
        IndexingError: the index fails.
    """
    before = line if at is None else line[: max(at, 0)]
    return [
        Suggestion(text, start, len(before), kind, photos)
        for start, text, kind, photos in _found(values, before, limit)
    ][:limit]


_Found = tuple[int, str, Literal["field", "value"], int | None]


def _found(values: Values, before: str, limit: int) -> Iterator[_Found]:
    if tag := _TAG.search(before):
        for name, photos in _matching(values.of("tag"), tag[2], limit):
            text = f"#{name}" if re.fullmatch(r"[^\W\d_]\S*", name) else _written("tag:", name)
            yield tag.start(), tag[1] + text, "value", photos
    elif value := _VALUE.search(before):
        minus, field, sign = value[1], value[2].lower(), value[3]
        typed = value[4] or value[5] or ""
        for name, photos in _matching(_known(values, field, typed), typed, limit):
            yield value.start(), _written(f"{minus}{field}{sign}", name), "value", photos
    elif word := _WORD.search(before):
        minus, typed = word[1], word[2].lower()
        for name in _NAMED:
            if name.startswith(typed):
                yield word.start(), f"{minus}{name}:", "field", None
        if len(typed) >= LEAST_LETTERS:
            yield from _of_word(values, word.start(), minus, typed)


def _of_word(values: Values, start: int, minus: str, typed: str) -> Iterator[_Found]:
    """Values of any field that have a word which starts as a plain word does."""
    found = [
        (photos or 0, _written(f"{minus}{field}:", name))
        for field in ("tag", "person", "place", "folder", "camera")
        for name, photos in _matching(values.names(field), typed, _FROM_WORDS)
    ]
    for photos, text in sorted(found, key=lambda one: -one[0])[:_FROM_WORDS]:
        yield start, text, "value", photos


def _known(values: Values, field: str, typed: str) -> Counts:
    """The values of a field; months if a year is typed."""
    if field in ("in", "on", "before", "after", "since", "until", "taken", "date"):
        year = re.match(r"(\d{4})-", typed)
        times = values.months(int(year[1])) if year and year[1] > "0000" else values.years()
        if field == "in":
            others = {**values.of("folder"), **values.names("place")}
            # A folder 2023 is not meant by in:2023, which is the year.
            return {**times, **{name: n for name, n in others.items() if not is_period(name)}}
        return times
    readers: dict[tuple[str, ...], Callable[[], Counts]] = {
        ("folder", "dir"): lambda: values.of("folder"),
        ("camera",): lambda: values.of("camera"),
        ("tag",): lambda: values.of("tag"),
        ("person", "people", "with"): lambda: values.of("person"),
        ("place", "city", "country"): lambda: values.names("place"),
        ("near",): lambda: values.of("city"),
        ("rating", "stars"): values.stars,
        ("has",): lambda: dict.fromkeys(HAS, 0),
    }
    return next((read() for names, read in readers.items() if field in names), {})


def _matching(known: Counts, typed: str, limit: int) -> Iterable[tuple[str, int | None]]:
    """Values that start with what is typed, then those with a word that does; frequent first."""
    start = typed.lower()
    first, later = [], []
    for name, photos in known.items():
        lower = name.lower()
        if lower == start:
            continue
        if lower.startswith(start):
            first.append((name, photos or None))
        elif any(word.startswith(start) for word in re.split(r"[\W_]+", lower)):
            later.append((name, photos or None))
        if len(first) >= limit:
            break
    return [*first, *later][:limit]


def _written(field: str, value: str) -> str:
    """A condition; in quotes if the value has spaces or the like."""
    plain = re.fullmatch(r"[^\s\"()\\,;]+", value)
    return field + (value if plain else quoted(value))
