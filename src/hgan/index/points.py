"""Build the points that an index stores from encoded photos and texts."""

from collections.abc import Mapping, Sequence

import numpy as np

from hgan.encoded import Encoded
from hgan.index.store.contract import Entry, Point
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
    photo, exif = content.photo, content.exif()
    return Entry(
        photo.path,
        photo.size,
        photo.mtime,
        content.digest,
        exif.taken,
        exif.camera,
        exif.tags,
        etag=photo.etag,
        width=exif.width,
        height=exif.height,
        fingerprint=fingerprint,
    )


def is_same(photo: Photo, entry: Entry) -> bool:
    """Whether a listed photo is unchanged since it was stored: same size, and same ETag or time.

    False if its vectors are marked as damaged, so that it is read again."""
    if entry.damaged or photo.size != entry.size:
        return False
    if photo.etag or entry.etag:
        return photo.etag == entry.etag
    return photo.mtime == entry.mtime and photo.mtime != 0
