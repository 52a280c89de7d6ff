"""The interface of a store, for every engine: store vectors and metadata, search, and re-rank."""

import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import TracebackType
from typing import Literal, NamedTuple, Self
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from hgan.errors import IndexingError
from hgan.index.conditions.accents import without_accents
from hgan.index.conditions.filter import Filter
from hgan.runtime.video import file_of, video_of

BEAM = 800
"""Number of candidates that an HNSW search keeps (`hnsw_ef`) in an index of a million items, or of
unknown size; see `beam`."""

LINKS, BUILD_BEAM = 32, 200
"""Links of a point in the HNSW graph of dense vectors (`m`), and number of candidates that are kept
while it is built (`ef_construct`); twice the engine's defaults. What they find among a million
photos is in docs/scaling.md."""

OVERSAMPLING = 1.5
"""Number of candidates per result that are found with 8-bit vectors, then rescored in float16, in
indexes of older versions with both; others have one kind of vectors."""

FLUSH_EVERY = 500
"""Number of items written between two flushes. If the process is killed, no stored item is lost; a
power failure may lose the items since the last flush."""


def beam(items: int) -> int:
    """Number of candidates that an HNSW search of this many items keeps: 200 for 10,000, twice as
    many for ten times the items, and at most `BEAM`. This finds 99 % of the exact top 100."""
    return round(min(BEAM, 200 * max(1.0, items / 10_000) ** 0.301))


def id_of(path: str, text: str = "") -> str:
    """The id of the point of a photo, or of a text about a photo; see `Entry`."""
    return str(uuid5(NAMESPACE_URL, f"{path}\n{text}" if text else path))


@dataclass(frozen=True)
class Entry:
    """Stored metadata of a photo or a text, used by filters and to detect changed files."""

    path: str
    """Path relative to the indexed folder, with `/` between folders; for a frame of a video,
    followed by its number (`hgan.runtime.video`); for a text, the name of the
    photo that it describes, or empty."""
    size: int
    """Size in bytes."""
    mtime: int
    """Time of the last change, in nanoseconds."""
    digest: str
    """SHA-256 of the file's bytes, hexadecimal; for a frame, of its JPEG."""
    taken: int | None = None
    """Time the photo was taken, in seconds since 1970 by the camera's clock; None if unknown."""
    camera: str = ""
    """Make and model of the camera; empty if unknown."""
    file_tags: tuple[str, ...] = ()
    """Tags in the file, in lower case."""
    text: str = ""
    """The text itself; empty for a photo."""
    etag: str = ""
    """ETag of the photo in an object store; empty for a file."""
    user_tags: tuple[str, ...] = ()
    """Tags that a user added to the photo, in lower case. They are not in the file, and are kept
    when the file is indexed again."""
    damaged: bool = False
    """Whether the stored vectors were found to be damaged, so that the item is encoded again."""
    rating: int | None = None
    """Stars of the photo, 0 to 5; None if it was never rated."""
    people: tuple[str, ...] = ()
    """People that other programs have named in the photo, in lower case."""
    city: str = ""
    """Name of the nearest city, such as `Lisbon`; empty if unknown."""
    country: str = ""
    """Name of its country, such as `Portugal`; empty if unknown."""
    country_code: str = ""
    """Code of the country by ISO 3166, such as `PT`; empty if unknown."""
    position: tuple[float, float] | None = None
    """Latitude and longitude in degrees."""
    file_time: bool = False
    """Whether `taken` is the time of the last change of the file, because the photo has none."""
    width: int = 0
    """Width of the upright photo in pixels; 0 if unknown."""
    height: int = 0
    """Height of the upright photo in pixels; 0 if unknown."""
    fingerprint: str = ""
    """Perceptual fingerprint (`hgan.runtime.fingerprint`), hexadecimal; empty if unknown."""
    unplaced: bool = False
    """Whether there is a position, but there was no gazetteer to find the city with."""
    sidecar_state: str = ""
    """State of the XMP sidecars that were read, see `hgan.sources.types.Photo`."""
    sidecar_problems: tuple[tuple[str, str], ...] = ()
    """Paths of XMP sidecars that could not be read, with the reason."""
    moment: float | None = None
    """For a frame of a video, seconds since its start; None for a photo."""

    @property
    def file(self) -> str:
        """Path of the file, relative to the indexed folder: of the video for a frame."""
        return self.path if self.moment is None else file_of(self.path)

    @property
    def frame(self) -> int | None:
        """Number of the frame in its video, from 1; None for a photo."""
        found = None if self.moment is None else video_of(self.path)
        return None if found is None else found[1]

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags, each once."""
        return tuple(dict.fromkeys((*self.file_tags, *self.user_tags)))

    @property
    def id(self) -> str:
        """Id of the point, derived from the path, and for a text also from the text."""
        return id_of(self.path, self.text)

    @property
    def folders(self) -> list[str]:
        """Every folder that contains the photo: `2023` and `2023/italy` for `2023/italy/a.jpg`."""
        return [str(parent) for parent in PurePosixPath(self.path).parents if parent.name]

    @property
    def name_words(self) -> list[str]:
        """Words of the file's name without its suffix, in lower case, and the whole of it:
        `lisbon`, `2023` and `lisbon_2023` for `italy/Lisbon_2023.jpg`."""
        stem = PurePosixPath(self.path).stem.lower()
        return list(dict.fromkeys([*re.findall(r"[^\W_]+", stem), *([stem] if stem else [])]))

    @property
    def places(self) -> list[str]:
        """What a filter by place compares, in lower case: city, country, and code of the country;
        also without accents, as `sao paulo`."""
        names = [name.lower() for name in (self.city, self.country, self.country_code) if name]
        return list(dict.fromkeys([*names, *map(without_accents, names)]))


@dataclass(frozen=True)
class Point:
    """A photo or a text in an index."""

    entry: Entry
    dense: np.ndarray
    """(E,): context and slots, see `hgan.runtime.similarity.dense`."""
    local: np.ndarray
    """(n, D_l): regions or words, without padding."""


class Match(NamedTuple):
    """A point that a search found, with its score."""

    id: str
    score: float


State = Literal["intact", "damaged", "unchecked"]
"""`unchecked`: stored by an older version of hgan, without checksums."""


class Checked(NamedTuple):
    """The result of a comparison of a point's vectors with their checksums."""

    entry: Entry
    state: State


def repair(where: object) -> str:
    """What to do about damage, in error messages: the command that repairs the index in `where`."""
    return f"repair it with `hgan index --to {shlex.quote(str(where))} --repair`"


class DamagedError(IndexingError):
    """The vectors of a point do not match their checksums."""

    def __init__(self, where: object, entry: Entry) -> None:
        item = entry.text or entry.path
        super().__init__(f"{where}: damaged, the vectors of {item!r} are wrong; {repair(where)}")


class BrokenError(IndexingError):
    """The engine cannot read its files."""

    def __init__(self, where: object, reason: str) -> None:
        super().__init__(f"{where}: damaged, the engine fails ({reason}); {repair(where)}")
        self.reason = reason


class ReadOnlyError(IndexingError):
    """A change of an index that can only be searched."""


class InUseError(IndexingError):
    """Another process has the index open."""

    def __init__(self, where: object) -> None:
        super().__init__(
            f"{where}: another process is using this index; wait until it ends, or stop it"
        )


class ReplacedError(IndexingError):
    """A new generation of the index has replaced the one that was to be opened or changed."""

    def __init__(self, where: object) -> None:
        super().__init__(f"{where}: the index has just been replaced by a new one; try again")


@dataclass(frozen=True)
class StoreFacts:
    """Information about a store for operators; values are None if unknown."""

    engine: Literal["edge", "server"]
    """`edge`: embedded in this process; `server`: a Qdrant server."""
    bytes_on_disk: int | None = None
    changed: float | None = None
    """When points were last added or removed, in seconds since 1970."""
    optimizing: bool | None = None
    """Whether the store is being optimized now."""
    shards: int | None = None
    """Number of shards of the collection."""
    replicas: int | None = None
    """Number of replicas of each shard."""
    write_consistency: int | None = None
    """Number of replicas that must confirm a write."""


class Store(ABC):
    """Stores the points of one index; vectors are in float16, or in 8 bits if the index was created
    with `quantize`.

    Every method raises `IndexingError` if the engine fails. Once `upsert` or `delete` has returned,
    the change is kept even if the process is killed. All methods are thread-safe.
    """

    @abstractmethod
    def upsert(self, points: Sequence[Point]) -> None:
        """Add points, replacing those with the same ids."""

    @abstractmethod
    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are ignored."""

    @abstractmethod
    def search(
        self,
        vector: np.ndarray,
        limit: int,
        where: Filter | None = None,
        exact: bool = False,
    ) -> list[Match]:
        """The top `limit` points by inner product with a dense vector (E,), best first.

        Args:
            vector: a query's dense vector.
            limit: the number of points.
            where: only photos that pass this filter.
            exact: compare with every point instead of using the graph.
        """

    @abstractmethod
    def rescore(self, local: np.ndarray, ids: Sequence[str]) -> dict[str, float]:
        """MaxSim of a query's real words (w, D_l) and each of the points: the sum over words of
        the best region's inner product."""

    @abstractmethod
    def fetch(self, ids: Sequence[str], local: bool = False) -> list[Point]:
        """The points of these ids, in this order; unknown ids are left out.

        Args:
            ids: ids of the points.
            local: also read the local vectors, which are large.

        Raises:
            DamagedError: the vectors of a point do not match their checksums.
        """

    @abstractmethod
    def entries(
        self, ids: Sequence[str] | None = None, buckets: range | None = None
    ) -> Iterator[Entry]:
        """The stored metadata of points, in any order.

        Args:
            ids: only the points with these ids.
            buckets: only the points in these buckets, see `hgan.index.store.bucket`; not with
                `ids`.
        """

    @abstractmethod
    def newest(
        self, limit: int, where: Filter | None = None, before: int | None = None
    ) -> list[Entry]:
        """The stored metadata of the newest photos that have a time, the newest first; those of the
        same second in any order.

        Args:
            limit: the number of photos.
            where: only photos that pass this filter.
            before: only photos that were taken before this time, see `Entry.taken`.
        """

    @abstractmethod
    def of_time(
        self, taken: int | None, limit: int, where: Filter | None = None, after: str | None = None
    ) -> list[Entry]:
        """The stored metadata of photos that were taken in this second, ordered by their ids.

        Args:
            taken: the time, see `Entry.taken`; None for the photos without one.
            limit: the number of photos.
            where: only photos that pass this filter.
            after: only photos whose ids follow this one.
        """

    @abstractmethod
    def verify(self) -> Iterator[Checked]:
        """Read every point, and compare its vectors with their checksums."""

    @abstractmethod
    def mark_damaged(self, ids: Sequence[str]) -> None:
        """Set `Entry.damaged` of points, until they are stored again."""

    @abstractmethod
    def count(self, where: Filter | None = None) -> int:
        """The number of points, or of those that pass a filter."""

    @abstractmethod
    def counts(self, field: str, limit: int) -> dict[str, int]:
        """The values of a payload field of `COUNTED` with the number of points that have each, at
        most `limit` of them, the most frequent first; equal ones by name."""

    @abstractmethod
    def facts(self) -> StoreFacts:
        """Engine, size, shards and replicas."""

    @abstractmethod
    def flush(self) -> None:
        """Write everything to disk, so that a power failure loses nothing."""

    @abstractmethod
    def optimize(self) -> None:
        """Optimize the store for fast searches, after many changes."""

    @abstractmethod
    def close(self) -> None:
        """Flush, and release all resources; calling it again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except IndexingError:
            if error is None:  # otherwise raise the first error, which is the cause of this one
                raise
