"""What an index must do, whichever engine does it: hold photos' vectors, find and re-rank them."""

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
"""Points that a search through a graph keeps in view. Of 100,000 photos, the best ten by the exact
score are all found with so many, and 97 % of them with 200, a millisecond sooner."""


@dataclass(frozen=True)
class Entry:
    """What is remembered of a photo, enough to see that its file is still the same, and to filter
    by; or of a text."""

    path: str
    """Relative to the folder that was indexed, with `/` between folders; of a text, the photo that
    it describes as its file names it, or nothing."""
    size: int
    """In bytes."""
    mtime: int
    """Time of the last change, in nanoseconds."""
    digest: str
    """SHA-256 of the file's bytes, hexadecimal."""
    taken: int | None = None
    """Seconds since 1970 by the camera's clock; None where the photo does not say."""
    camera: str = ""
    """Make and model; empty where the photo does not say."""
    tags: tuple[str, ...] = ()
    """In lower case."""
    text: str = ""
    """The text itself; nothing for a photo."""
    etag: str = ""
    """What an object store had for it; empty for a file."""

    @property
    def id(self) -> str:
        """The point's id: the same path, or the same text of a photo, always has the same."""
        return str(uuid5(NAMESPACE_URL, f"{self.path}\n{self.text}" if self.text else self.path))

    @property
    def folders(self) -> list[str]:
        """Every folder that the photo lies in, `2023` and `2023/italy` for one in the latter."""
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
    """A point that a search found."""

    id: str
    score: float


@dataclass(frozen=True)
class StoreFacts:
    """What an engine says of itself to those who run it; None where it does not know."""

    engine: Literal["edge", "server"]
    """Embedded in this process, or a Qdrant server."""
    bytes_on_disk: int | None = None
    changed: float | None = None
    """When points were last added or removed, in seconds since 1970."""
    optimizing: bool | None = None
    """Whether points are being arranged right now."""
    shards: int | None = None
    """Parts of the collection."""
    replicas: int | None = None
    """Copies of each part."""
    write_consistency: int | None = None
    """Copies that must have a change before it counts as written."""


class Store(ABC):
    """An engine holding the points of one index; vectors are kept in float16, or in less where the
    index was made with `quantize`.

    Every method raises `IndexingError` where the engine fails. What `upsert` and `delete` were
    told survives a kill of the process once they have returned.
    """

    @abstractmethod
    def upsert(self, points: Sequence[Point]) -> None:
        """Add points, replacing those of the same id."""

    @abstractmethod
    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; ids that are not there are fine."""

    @abstractmethod
    def search(
        self,
        vector: np.ndarray,
        limit: int,
        where: Filter | None = None,
        exact: bool = False,
    ) -> list[Match]:
        """The points with the largest inner product with a dense vector (E,), best first.

        Args:
            vector: a query's dense vector.
            limit: how many at most.
            where: only photos that pass this.
            exact: compare with every point, where the engine would use a graph to be faster.
        """

    @abstractmethod
    def rescore(self, local: np.ndarray, ids: Sequence[str]) -> dict[str, float]:
        """MaxSim of a query's real words (w, D_l) and each of the points: the sum over words of
        the best region's inner product."""

    @abstractmethod
    def fetch(self, ids: Sequence[str], local: bool = False) -> list[Point]:
        """The points of these ids, in this order; ids that are not there are left out.

        Args:
            ids: of the points.
            local: bring the local vectors as well; they are large.
        """

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """What is remembered of every photo."""

    @abstractmethod
    def count(self) -> int:
        """How many points there are."""

    @abstractmethod
    def facts(self) -> StoreFacts:
        """How it is kept: the engine, its size, its shards and copies."""

    @abstractmethod
    def flush(self) -> None:
        """Bring everything to disk, so that it survives a power cut as well."""

    @abstractmethod
    def optimize(self) -> None:
        """Bring the points into the form that is fastest to search, after many changes."""

    @abstractmethod
    def close(self) -> None:
        """Flush and release; a closed store may be closed again."""

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
            if error is None:  # what went wrong first says more than what followed from it
                raise
