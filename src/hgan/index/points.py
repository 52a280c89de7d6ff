"""Photos, once read and encoded, as the points that an index stores."""

from collections.abc import Mapping, Sequence

import numpy as np

from hgan.encoded import Encoded
from hgan.index.store.contract import Entry, Point
from hgan.runtime.similarity import dense
from hgan.sources.types import Photo


def points_of(
    entries: Sequence[Entry], encoded: Encoded[np.ndarray], weights: Mapping[str, float]
) -> list[Point]:
    """A point for each photo, in the same order.

    Args:
        entries: what is remembered of N photos.
        encoded: the N photos.
        weights: of the levels in S.
    """
    vectors = dense(encoded, weights)  # (N, E)
    return [
        Point(entry, vectors[row], encoded.local[row][encoded.mask[row]])
        for row, entry in enumerate(entries)
    ]


def entry_of(photo: Photo) -> Entry:
    """What an index remembers of a photo that has been read."""
    exif = photo.exif
    return Entry(
        photo.path,
        photo.size,
        photo.mtime,
        photo.digest,
        exif.taken,
        exif.camera,
        exif.tags,
        etag=photo.etag,
    )


def is_same(photo: Photo, entry: Entry) -> bool:
    """Whether a photo has not changed since an index remembered it, by all that a listing says."""
    if photo.size != entry.size:
        return False
    if photo.etag or entry.etag:
        return photo.etag == entry.etag
    return photo.mtime == entry.mtime and photo.mtime != 0
