"""Convert points to the payload and named vectors that both engines store, and back."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from hgan.errors import IndexingError
from hgan.index.conditions.fields import camera_words
from hgan.index.store.bucket import bucket_of
from hgan.index.store.checksum import checksum, matches, projections
from hgan.index.store.contract import Checked, DamagedError, Entry, Point, State
from hgan.index.store.manifest import Quantize

WORDS = ("folders", "camera_words", "tags", "people", "places", "name_words")
"""Payload fields with lists of words; a filter requires that they contain certain words."""
COUNTED = ("folders", "camera", "tags", "people", "places", "city")
"""Payload fields whose values are counted, see `Store.counts`."""
TIME = "taken"
"""Payload field with the time in seconds; a filter requires that it is in a range."""
RATING = "rating"
"""Payload field with the number of stars."""
GEO = "geo"
"""Payload field with the position, as engines read it: `lat` and `lon` in degrees."""
_DIGITS = 6
"""Decimal digits of a position, a tenth of a metre; engines do not return more of them exactly."""
BUCKET = "bucket"
"""Payload field with the bucket of the path; points of older versions have none."""
DAMAGED = {"damaged": True}
"""Payload that marks a point whose vectors must be encoded again."""


class Widths(NamedTuple):
    """Widths and format of the vectors of a store; vectors of width zero are not stored."""

    dense: int
    local: int
    quantize: Quantize | None = None

    def names(self, local: bool) -> list[str]:
        """Names of the stored vectors, with or without the local ones."""
        widths = (("dense", self.dense), ("local", self.local and local))
        return [name for name, width in widths if width]

    def named(self, point: Point) -> dict[str, Any]:
        """The vectors of a point, by name, rounded to float16.

        Raises:
            IndexingError: a number is infinite or not a number.
        """
        found = {}
        for name in self.names(local=True):
            with np.errstate(over="ignore"):
                vectors = np.asarray(getattr(point, name), np.float16)
            if not np.isfinite(vectors).all():
                raise IndexingError(
                    f"{point.entry.path or point.entry.text}: its {name} vectors have numbers that "
                    "are not finite; the model is damaged, get the bundle again"
                )
            found[name] = vectors.tolist()
        return found

    def payload(self, point: Point) -> dict[str, Any]:
        """The payload of a point: its metadata, and the checksums of its vectors."""
        key, sums = point.entry.id, {}
        for name in self.names(local=True):
            vectors = np.asarray(getattr(point, name), np.float16)
            lossy = self.quantize is not None
            rows = vectors.reshape(-1, vectors.shape[-1])
            sums[name] = projections(rows) if lossy else checksum(key, vectors)
        added = {BUCKET: bucket_of(point.entry.path), "checksums": sums}
        return {**to_payload(point.entry), **added}

    def points(
        self, records: Sequence[Any], ids: Sequence[str], where: object, local: bool
    ) -> list[Point]:
        """The points with these ids, in this order; ids without a record are left out.

        Raises:
            DamagedError: the vectors of a point do not match their checksums.
        """
        found = {}
        for record in records:
            point = self._point(record)
            if point is None or self._state(record, point, local) == "damaged":
                raise DamagedError(where, to_entry(record.payload))
            found[str(record.id)] = point
        return [found[key] for key in ids if key in found]

    def checked(self, record: Any) -> Checked:
        """The state of a record that was read with all of its vectors."""
        point = self._point(record)
        state = "damaged" if point is None else self._state(record, point, local=True)
        return Checked(to_entry(record.payload), state)

    def _state(self, record: Any, point: Point, local: bool) -> State:
        stored = record.payload.get("checksums")
        if stored is None:  # stored by an older version of hgan
            return "unchecked"
        key, names = str(record.id), self.names(local)
        intact = all(matches(key, getattr(point, name), stored.get(name)) for name in names)
        return "intact" if intact else "damaged"

    def _point(self, record: Any) -> Point | None:
        """The point of a record; None if its vectors are missing or have another width."""
        vectors = record.vector or {}
        try:
            return Point(
                to_entry(record.payload),
                np.array(vectors.get("dense", ()), np.float32).reshape(self.dense),
                np.array(vectors.get("local", ()), np.float32).reshape(-1, self.local or 1),
            )
        except ValueError:
            return None


def to_payload(entry: Entry) -> dict[str, Any]:
    """The payload of a photo or a text; unknown values are left out.

    `tags` contains all tags, and is used by filters. File tags and user tags are also stored
    separately if there are user tags; an index without them is the same as in older versions.
    """
    known = {
        TIME: entry.taken,
        "camera": entry.camera or None,
        "camera_words": list(camera_words(entry.camera)) or None,
        "text": entry.text or None,
        "etag": entry.etag or None,
        "file_tags": list(entry.file_tags) if entry.user_tags else None,
        "user_tags": list(entry.user_tags) or None,
        RATING: entry.rating,
        "people": list(entry.people) or None,
        "places": entry.places or None,
        "city": entry.city or None,
        "country": entry.country or None,
        "country_code": entry.country_code or None,
        GEO: None if entry.position is None else _geo(entry.position),
        "name_words": None if entry.text else entry.name_words,
        "file_time": entry.file_time or None,
        "width": entry.width or None,
        "height": entry.height or None,
        "fingerprint": entry.fingerprint or None,
        "unplaced": entry.unplaced or None,
        "sidecar_state": entry.sidecar_state or None,
        "moment": entry.moment,
        "sidecar_problems": [list(one) for one in entry.sidecar_problems] or None,
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
    """The inverse of `to_payload`, also for payloads of older versions of hgan.

    Older indexes have no name words, and none of the fields that came with them. Such a photo is
    returned with `mtime` 0 and no ETag, as if its file had changed, so that the next run reads its
    metadata. Since its bytes are the same, it is not encoded again.
    """
    current = "name_words" in payload or "text" in payload
    geo = payload.get(GEO)
    return Entry(
        path=payload["path"],
        size=payload["size"],
        mtime=payload["mtime"] if current else 0,
        digest=payload["digest"],
        taken=payload.get(TIME),
        camera=payload.get("camera", ""),
        file_tags=tuple(payload.get("file_tags", payload.get("tags", ()))),
        text=payload.get("text", ""),
        etag=payload.get("etag", "") if current else "",
        user_tags=tuple(payload.get("user_tags", ())),
        damaged=payload.get("damaged", False),
        rating=payload.get(RATING),
        people=tuple(payload.get("people", ())),
        city=payload.get("city", ""),
        country=payload.get("country", ""),
        country_code=payload.get("country_code", ""),
        position=None if geo is None else _rounded(geo["lat"], geo["lon"]),
        file_time=payload.get("file_time", False),
        width=payload.get("width", 0),
        height=payload.get("height", 0),
        fingerprint=payload.get("fingerprint", ""),
        unplaced=payload.get("unplaced", False),
        sidecar_state=payload.get("sidecar_state", ""),
        moment=payload.get("moment"),
        sidecar_problems=tuple((path, why) for path, why in payload.get("sidecar_problems", ())),
    )


def within(entries: Iterable[Entry], buckets: range | None) -> Iterator[Entry]:
    """The entries in these buckets; the engines also return those of older versions, whose
    payloads have no bucket."""
    return (e for e in entries if buckets is None or bucket_of(e.path) in buckets)


def _geo(position: tuple[float, float]) -> dict[str, float]:
    return dict(zip(("lat", "lon"), _rounded(*position), strict=True))


def _rounded(latitude: float, longitude: float) -> tuple[float, float]:
    return round(latitude, _DIGITS), round(longitude, _DIGITS)


def counted(entries: Iterable[Entry], field: str, limit: int) -> dict[str, int]:
    """What `Store.counts` returns, by reading all entries: for an index whose field is not indexed,
    because an older version of hgan made it and it can only be read."""
    found: Counter[str] = Counter()
    for entry in entries:
        value = to_payload(entry).get(field) or []
        found.update([value] if isinstance(value, str) else value)
    return most_frequent(found.items(), limit)


def most_frequent(counts: Iterable[tuple[str, int]], limit: int) -> dict[str, int]:
    """The values with the largest counts, the largest first; equal ones by name."""
    return dict(sorted(counts, key=lambda pair: (-pair[1], pair[0]))[:limit])
