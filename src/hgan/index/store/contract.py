"""What a store must do, whichever engine it is: hold vectors, search and re-rank them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import TracebackType
from typing import Literal, NamedTuple, Self
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from hgan.errors import IndexingError
from hgan.index.store.filter import Filter

BEAM = 800
"""Candidates that a search through an HNSW graph keeps (`ef`). Of 100,000 photos, the top ten by
the exact score are all found with 800, and 97 % of them with 200, a millisecond faster."""

OVERSAMPLING = 2.0
"""Candidates by 8-bit vectors for each result that is then scored by its float16 vector."""

FLUSH_EVERY = 500
"""Items between two flushes while many are written. A kill loses nothing that was stored; a power
cut may lose the items since the last flush."""


@dataclass(frozen=True)
class Entry:
    """Stored metadata of a photo or a text: enough to see whether the file is unchanged, and to
    filter by."""

    path: str
    """Relative to the folder that was indexed, with `/` between folders; of a text, the name of the
    photo that it describes, or empty."""
    size: int
    """In bytes."""
    mtime: int
    """Time of the last change, in nanoseconds."""
    digest: str
    """SHA-256 of the file's bytes, hexadecimal."""
    taken: int | None = None
    """Seconds since 1970 by the camera's clock; None if the photo does not say."""
    camera: str = ""
    """Make and model; empty if the photo does not say."""
    file_tags: tuple[str, ...] = ()
    """Tags in the file, in lower case."""
    text: str = ""
    """The text itself; empty for a photo."""
    etag: str = ""
    """The version that an object store gives it; empty for a file."""
    user_tags: tuple[str, ...] = ()
    """Tags that a user gave to the photo, in lower case. They are not in the file, and are kept
    when the file is indexed again."""

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags, each once."""
        return tuple(dict.fromkeys((*self.file_tags, *self.user_tags)))

    @property
    def id(self) -> str:
        """The point's id: the same path, or the same text of a photo, always has the same."""
        return str(uuid5(NAMESPACE_URL, f"{self.path}\n{self.text}" if self.text else self.path))

    @property
    def folders(self) -> list[str]:
        """Every folder that contains the photo: `2023` and `2023/italy` for `2023/italy/a.jpg`."""
        return [str(parent) for parent in PurePosixPath(self.path).parents if parent.name]


@dataclass(frozen=True)
class Point:
    """A photo or a text in an index."""

    entry: Entry
    dense: np.ndarray
    """(E,): context and slots, see `hgan.runtime.similarity.dense`."""
    local: np.ndarray
    """(n, D_l): the real regions, or the words."""


class Match(NamedTuple):
    """A point that a search found, with its score."""

    id: str
    score: float


@dataclass(frozen=True)
class StoreFacts:
    """Facts about an engine for its operators; None if unknown."""

    engine: Literal["edge", "server"]
    """Embedded in this process, or a Qdrant server."""
    bytes_on_disk: int | None = None
    changed: float | None = None
    """When points were last added or removed, in seconds since 1970."""
    optimizing: bool | None = None
    """Whether points are being arranged right now."""
    shards: int | None = None
    """Shards of the collection."""
    replicas: int | None = None
    """Copies of each shard."""
    write_consistency: int | None = None
    """Copies that must store a change before it counts as written."""


class Store(ABC):
    """An engine that holds the points of one index; vectors are stored in float16, or smaller if
    the index was made with `quantize`.

    Every method raises `IndexingError` if the engine fails. Once `upsert` or `delete` has returned,
    the change survives a kill of the process. Any thread may call any method.
    """

    @abstractmethod
    def upsert(self, points: Sequence[Point]) -> None:
        """Add points, replacing those of the same id."""

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
            ids: of the points.
            local: read the local vectors as well; they are large.
        """

    @abstractmethod
    def entries(self, ids: Sequence[str] | None = None) -> Iterator[Entry]:
        """The stored metadata of the points of these ids, in any order, or of every point."""

    @abstractmethod
    def count(self) -> int:
        """The number of points."""

    @abstractmethod
    def facts(self) -> StoreFacts:
        """The engine, its size, its shards and copies."""

    @abstractmethod
    def flush(self) -> None:
        """Write everything to disk, so that it survives a power cut as well."""

    @abstractmethod
    def optimize(self) -> None:
        """Bring the points into the form that is fastest to search, after many changes."""

    @abstractmethod
    def close(self) -> None:
        """Flush and release; closing twice is allowed."""

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
            if error is None:  # the first error says more than one that followed from it
                raise
