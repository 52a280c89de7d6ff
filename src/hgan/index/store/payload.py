"""A point and what is remembered of it, in the shape that every engine of Qdrant's kind keeps."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hgan.index.store.contract import Entry, Point
from hgan.index.store.filter import Filter, camera_words

WORDS = ("folders", "camera_words", "tags")
"""Fields with lists of words, of which a filter names some."""
TIME = "taken"
"""The field with seconds, of which a filter gives a range."""


class Widths(NamedTuple):
    """Of the vectors of a store; those of width zero are not there."""

    dense: int
    local: int

    def names(self, local: bool) -> list[str]:
        """Of the vectors to read, with or without the local ones."""
        wanted = (("dense", self.dense), ("local", self.local and local))
        return [name for name, width in wanted if width]

    def named(self, point: Point) -> dict[str, Any]:
        """The vectors of a point, by name."""
        return {name: getattr(point, name).tolist() for name in self.names(local=True)}

    def points(self, records: Sequence[Any], ids: Sequence[str]) -> list[Point]:
        """The points of these ids, in this order; ids that no record has are left out."""
        found = {str(record.id): self._point(record) for record in records}
        return [found[key] for key in ids if key in found]

    def _point(self, record: Any) -> Point:
        vectors = record.vector or {}
        return Point(
            to_entry(record.payload),
            np.array(vectors.get("dense", ()), np.float32).reshape(self.dense),
            np.array(vectors.get("local", ()), np.float32).reshape(-1, self.local or 1),
        )


def to_payload(entry: Entry) -> dict[str, Any]:
    """What is remembered of a photo or a text; what it does not say takes no room."""
    known = {
        TIME: entry.taken,
        "camera": entry.camera or None,
        "camera_words": list(camera_words(entry.camera)) or None,
        "text": entry.text or None,
        "etag": entry.etag or None,
    }
    return {
        "path": entry.path,
        "size": entry.size,
        "mtime": entry.mtime,
        "digest": entry.digest,
        "folders": entry.folders,
        "tags": list(entry.tags),
        **{name: value for name, value in known.items() if value is not None},
    }


def to_entry(payload: Any) -> Entry:
    """The way back.

    Indexes of version 1 have no tags and know nothing of time and camera. Such a photo comes back
    as one whose file has changed, so that the next run reads what it says; its bytes are the same,
    so it is not encoded again.
    """
    return Entry(
        path=payload["path"],
        size=payload["size"],
        mtime=payload["mtime"] if "tags" in payload else 0,
        digest=payload["digest"],
        taken=payload.get(TIME),
        camera=payload.get("camera", ""),
        tags=tuple(payload.get("tags", ())),
        text=payload.get("text", ""),
        etag=payload.get("etag", ""),
    )


def words_of(where: Filter) -> list[tuple[str, str]]:
    """Every field and a word that it must have, for a photo to pass."""
    folders = [("folders", where.folder)] if where.folder is not None else []
    cameras = [("camera_words", word) for word in where.camera]
    return [*folders, *cameras, *(("tags", tag) for tag in where.tags)]


def range_of(where: Filter) -> dict[str, float] | None:
    """From when (`gte`) until before when (`lt`) a photo must have been taken; None for any."""
    bounds = {"gte": where.taken_from, "lt": where.taken_until}
    return {name: float(bound) for name, bound in bounds.items() if bound is not None} or None
