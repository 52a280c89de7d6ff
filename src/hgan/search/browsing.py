"""What browsing a collection returns: photos in the order of time, without a query."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import NamedTuple, Self

from hgan.index.conditions.filter import Filter
from hgan.index.store.contract import Entry, Store
from hgan.index.store.timeline import Place, timeline
from hgan.search.duplicates import fold
from hgan.sources.roots import Roots

PAGE = 200
"""Number of photos that are read at once."""


@dataclass(frozen=True)
class TimelinePhoto:
    """A photo of the timeline."""

    path: PurePath
    """A file, or an address in an object store (see `hgan.sources.types.Address`)."""
    id: str
    """Id of the photo in the index; it changes only with its path."""
    taken: datetime | None
    """Time the photo was taken, by the camera's clock; None if unknown."""
    file_time: bool = False
    """Whether `taken` is the time of the last change of the file, because the photo has none."""
    width: int = 0
    """Width of the upright photo in pixels; 0 if unknown."""
    height: int = 0
    """Height of the upright photo in pixels; 0 if unknown."""
    moment: float | None = None
    """For a frame of a video, seconds since its start; `path` is that of the video."""
    frame: int | None = None
    """Number of the frame in the video, from 1; None for a photo."""
    duplicates: tuple[PurePath, ...] = ()
    """Paths of the copies that are folded into this photo."""
    duplicate_ids: tuple[str, ...] = ()
    """Their ids, in the same order."""

    @classmethod
    def of(cls, shown: "Shown", roots: Roots) -> Self:
        """From the stored metadata, with the files."""
        entry, copies = shown
        return cls(
            roots.path(entry.file),
            entry.id,
            time_of(entry),
            entry.file_time,
            entry.width,
            entry.height,
            entry.moment,
            entry.frame,
            tuple(roots.path(copy.file) for copy in copies),
            tuple(copy.id for copy in copies),
        )


class Shown(NamedTuple):
    """A photo of the timeline with the copies that are folded into it."""

    entry: Entry
    copies: tuple[Entry, ...] = ()


class TimelinePage(NamedTuple):
    """Photos in the order of time."""

    photos: list[Shown]
    after: Place | None
    """Where the next page starts; None after the last page."""


def time_of(entry: Entry) -> datetime | None:
    """Time a photo was taken, without a time zone; None if unknown."""
    if entry.taken is None:
        return None
    return datetime.fromtimestamp(entry.taken, UTC).replace(tzinfo=None)


def page_of(
    store: Store, limit: int, where: Filter, after: Place | None, folded: bool = False
) -> TimelinePage:
    """The next photos of the timeline of a store; see `hgan.index.store.timeline`.

    Copies that keep the time of their photo are near it, so `folded` groups near-duplicates of the
    same second (see `hgan.search.duplicates`), and the frames of a video. A page does not end
    between such photos, unless there are more than `limit`, so each photo is on one page or folded
    into a photo of one page, whatever happens between the requests. There may be fewer photos than
    `limit` on any page.

    Args:
        store: the store.
        limit: maximum number of photos on the page, at least 1.
        where: only photos that pass this filter.
        after: where the page starts; None for the first page.
        folded: group copies under the largest of them, and a video under its first frame.

    Raises:
        IndexingError: the engine fails.
    """
    if not folded:
        entries = timeline(store, limit + 1, where, after)
        last = _place(entries[limit - 1]) if len(entries) > limit else None
        return TimelinePage([Shown(entry) for entry in entries[:limit]], last)
    photos: list[Shown] = []
    while True:
        entries = timeline(store, limit + 1, where, after)
        is_end = len(entries) <= limit
        for run in _runs(entries, limit, is_end):
            found = _folded(store, run)
            if len(photos) + len(found) > limit:
                return TimelinePage(photos, after)
            photos += found
            after = _place(run[-1])
        if is_end:
            return TimelinePage(photos, None)


def all_photos(store: Store, where: Filter, folded: bool = False) -> Iterator[Shown]:
    """The whole timeline of a store, read page by page; see `page_of`."""
    after = None
    while True:
        photos, after = page_of(store, PAGE, where, after, folded)
        yield from photos
        if after is None:
            return


def _runs(entries: Sequence[Entry], limit: int, is_end: bool) -> list[list[Entry]]:
    """Group photos of the same second, and all that is between the frames of a video; the last
    group is left out if it may continue."""
    last_of = {entry.file: place for place, entry in enumerate(entries) if entry.moment is not None}
    runs: list[list[Entry]] = []
    taken, until = None, -1
    for place, entry in enumerate(entries):
        if place > until and (not runs or entry.taken != taken):
            runs.append([])
        runs[-1].append(entry)
        taken, until = entry.taken, max(until, last_of.get(entry.file, -1))
    if is_end or not runs:
        return runs
    return runs[:-1] or [runs[0][:limit]]


def _folded(store: Store, run: list[Entry]) -> list[Shown]:
    """Group near-duplicates of the same second, and the frames of a video."""
    together: dict[int | str | None, list[Entry]] = {}
    for entry in run:
        key = entry.taken if entry.moment is None else entry.file
        together.setdefault(key, []).append(entry)
    shown: list[Shown] = []
    for first, *others in together.values():
        if first.moment is not None:
            first, *others = sorted([first, *others], key=lambda entry: entry.path)
        if first.moment is not None or not others:
            shown.append(Shown(first, tuple(others)))
        else:
            shown += _without_copies(store, [first, *others])
    places = {entry.id: place for place, entry in enumerate(run)}
    return sorted(shown, key=lambda one: places[one.entry.id])


def _without_copies(store: Store, photos: Sequence[Entry]) -> list[Shown]:
    """Group near-duplicates under the largest of them."""
    best = sorted(photos, key=lambda entry: (-entry.width * entry.height, -entry.size, entry.path))
    points = store.fetch([entry.id for entry in best])
    groups = [[points[row].entry for row in rows] for rows in fold(points, len(points))]
    return [Shown(first, tuple(copies)) for first, *copies in groups]


def _place(entry: Entry) -> Place:
    return Place(entry.taken, entry.id)
