"""What browsing a collection returns: photos in the order of time, without a query."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Self

from hgan.index.conditions.filter import Filter
from hgan.index.store.contract import Entry, Store
from hgan.index.store.timeline import Place, timeline

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

    @classmethod
    def of(cls, entry: Entry, path: PurePath) -> Self:
        """From the stored metadata."""
        size = entry.width, entry.height
        moment = entry.moment, entry.frame
        return cls(path, entry.id, time_of(entry), entry.file_time, *size, *moment)


def time_of(entry: Entry) -> datetime | None:
    """Time a photo was taken, without a time zone; None if unknown."""
    if entry.taken is None:
        return None
    return datetime.fromtimestamp(entry.taken, UTC).replace(tzinfo=None)


def all_pages(store: Store, where: Filter) -> Iterator[list[Entry]]:
    """The whole timeline of a store, page by page; see `hgan.index.store.timeline`."""
    after = None
    while page := timeline(store, PAGE, where, after):
        yield page
        after = Place(page[-1].taken, page[-1].id)
