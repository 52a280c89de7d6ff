"""Build the points that an index stores from encoded photos and texts."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from hgan.encoded import Encoded
from hgan.index.places import gazetteer
from hgan.index.store.contract import Entry, Point
from hgan.runtime.metadata.text import seconds
from hgan.runtime.similarity import dense
from hgan.sources.types import Photo, PhotoContent


def points_of(
    entries: Sequence[Entry], encoded: Encoded[np.ndarray], weights: Mapping[str, float]
) -> list[Point]:
    """Build a point for each photo or text, in the same order.

    Args:
        entries: stored metadata of N photos or texts.
        encoded: the N photos or texts.
        weights: weight of each level in S.
    """
    vectors = dense(encoded, weights)  # (N, E)
    return [
        Point(entry, vectors[row], encoded.local[row][encoded.mask[row]])
        for row, entry in enumerate(entries)
    ]


def entry_of(content: PhotoContent, fingerprint: str = "") -> Entry:
    """The metadata that an index stores for a photo, read from the file."""
    photo, found = content.photo, content.metadata()
    taken = found.taken if found.taken is not None else local_seconds(photo.mtime)
    if taken is not None and content.moment is not None:
        taken += int(content.moment)  # a frame was taken later; so they are in order of time
    place, unplaced = None, False
    if found.position is not None:
        cities = gazetteer()
        unplaced = cities is None
        place = None if cities is None else cities.nearest(*found.position)
    return Entry(
        photo.path,
        photo.size,
        photo.mtime,
        content.digest,
        taken,
        found.camera,
        found.tags,
        etag=photo.etag,
        rating=found.rating,
        people=found.people,
        city="" if place is None else place.city,
        country="" if place is None else place.country,
        country_code="" if place is None else place.code,
        position=found.position,
        file_time=found.taken is None and taken is not None,
        width=found.width,
        height=found.height,
        fingerprint=fingerprint,
        unplaced=unplaced,
        sidecar_state=photo.sidecar_state,
        sidecar_problems=content.problems,
        moment=content.moment,
    )


def local_seconds(nanoseconds: int) -> int | None:
    """A time of a file as a camera's clock would show it here, see `Entry.taken`; None if it is 0,
    which is unknown, or has no date."""
    if not nanoseconds:
        return None
    try:
        return seconds(datetime.fromtimestamp(nanoseconds // 10**9))
    except (ValueError, OverflowError, OSError):
        return None


def is_same(photo: Photo, entry: Entry) -> bool:
    """Whether a listed photo is unchanged since it was stored: same size, same ETag or time, and
    the same sidecars.

    False if its vectors are marked as damaged, or if its city can be found only now, so that it is
    read again."""
    if entry.damaged or photo.size != entry.size or photo.sidecar_state != entry.sidecar_state:
        return False
    if entry.unplaced and gazetteer() is not None:
        return False
    if photo.etag or entry.etag:
        return photo.etag == entry.etag
    return photo.mtime == entry.mtime and photo.mtime != 0
