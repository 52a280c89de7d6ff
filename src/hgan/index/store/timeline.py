"""All photos in the order of time: the newest first, in pages.

Photos of the same second are in the order of their ids, and photos without a time come last, in the
same order. So each photo has one place, and a page continues after any place: each photo is on one
page, also if many have the same time, or if others are added and removed meanwhile.

The engines sort by time alone, and by id alone; `timeline` combines these two.
"""

from typing import NamedTuple

from hgan.index.conditions.filter import Filter
from hgan.index.store.contract import Entry, Store


class Place(NamedTuple):
    """The place of a photo."""

    taken: int | None
    """Time the photo was taken, in seconds since 1970 by the camera's clock; None if unknown."""
    id: str


def timeline(
    store: Store, limit: int, where: Filter | None = None, after: Place | None = None
) -> list[Entry]:
    """The next photos in the order of time; fewer than `limit` only at the end.

    Args:
        store: the store.
        limit: maximum number of photos.
        where: only photos that pass this filter.
        after: the place of the last photo of the page before; None for the first page.

    Raises:
        IndexingError: the engine fails.
    """
    found: list[Entry] = []
    before = None
    if after is not None:
        found = store.of_time(after.taken, limit, where, after.id)
        before = after.taken
    ended = after is not None and after.taken is None
    while len(found) < limit and not ended:
        room = limit - len(found)
        newest = store.newest(room, where, before)
        if len(newest) < room:
            found += sorted(newest, key=_place)
            found += store.of_time(None, limit - len(found), where)
            break
        # Others of the last second may have been left out, and some of them have smaller ids.
        before = newest[-1].taken
        found += sorted((entry for entry in newest if entry.taken != before), key=_place)
        found += store.of_time(before, limit - len(found), where)
    return found


def _place(entry: Entry) -> tuple[int, str]:
    return -(entry.taken or 0), entry.id
