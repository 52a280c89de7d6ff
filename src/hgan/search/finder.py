"""What can be asked of indexed photos, whether the index is open here or behind a service.

`hgan.Index` and `hgan.Client` implement it, so that programs can use either.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from types import TracebackType
from typing import Self

from hgan.errors import DataError
from hgan.index.store.filter import EXAMPLES, Filter
from hgan.runtime.explain import Explanation
from hgan.runtime.images import PhotoSource
from hgan.search.query import Query

Where = Filter | str | Iterable[str] | None
"""A filter; or one condition or several, as `hgan.index.store.filter` reads them."""


@dataclass(frozen=True)
class Hit:
    """A photo, or a sentence, that a search found."""

    path: PurePath
    """A file, or an address in an object store (see `hgan.sources.types.Address`). For a sentence,
    the photo that it describes, as its file names it; empty where it names none."""
    score: float
    """S, the weighted sum of the levels; for a query of several parts, the weighted sum of S."""
    levels: dict[str, float]
    """Similarity by level, for the levels that the model has; summed over parts like S."""
    id: str = ""
    """Id of the item in the index; it changes only with its path."""
    duplicates: tuple[PurePath, ...] = ()
    """Near-duplicates of no higher score, where a search folds them; for sentences, the photos
    that they describe."""
    text: str = ""
    """The sentence; empty for a photo."""


@dataclass(frozen=True)
class SearchOptions:
    """Which of the matching photos are returned; see `Finder.find`.

    Raises:
        DataError: a number is negative.
    """

    k: int
    offset: int = 0
    where: Filter = Filter()  # noqa: RUF009 - it is frozen
    threshold: float | None = None
    fold: bool = False
    candidates: int | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if self.k < 0 or self.offset < 0:
            raise DataError(
                f"k and offset must not be negative; they are {self.k} and {self.offset}"
            )

    @property
    def end(self) -> int:
        """Rank of the last hit, counted from 1 and before the offset is applied."""
        return self.offset + self.k


class Finder(ABC):
    """Searches photos; close it after use, or use it in a `with`."""

    def find(
        self,
        query: Query,
        k: int = 10,
        *,
        offset: int = 0,
        where: Where = None,
        threshold: float | None = None,
        fold: bool = False,
        candidates: int | None = None,
    ) -> list[Hit]:
        """The photos that match a query best, best first; equal scores are ordered by id.

        Args:
            query: what to search for.
            k: how many hits.
            offset: how many hits to skip, for another page. Pages of one size never overlap as
                long as they stay within the candidates; pages further down need more candidates,
                some of which may rank higher. With `candidates` given, pages of any size fit
                together up to that number.
            where: only photos that meet these conditions: a `Filter`, one condition such as
                "folder=2023/italy", or several.
            threshold: only photos with at least this score.
            fold: group near-duplicates under the best of them.
            candidates: how many photos of the first stage are scored exactly, by default
                `CANDIDATES` or `CANDIDATES_EACH` a hit (see `hgan.search.searcher`). More
                candidates come closer to an exhaustive search and take longer.

        Raises:
            DataError: a text has no words in it, a photo cannot be read, a condition is not one,
                or `Query.like` names an item that is not in the index.
            IndexingError: the index or the service fails.
        """
        return self.find_many(
            [query],
            k,
            offset=offset,
            where=where,
            threshold=threshold,
            fold=fold,
            candidates=candidates,
        )[0]

    def find_many(
        self,
        queries: Sequence[Query],
        k: int = 10,
        *,
        offset: int = 0,
        where: Where = None,
        threshold: float | None = None,
        fold: bool = False,
        candidates: int | None = None,
    ) -> list[list[Hit]]:
        """The hits of each query, as `find` returns them; faster than one query at a time."""
        if isinstance(queries, Query | str):
            raise DataError("find_many takes a list of queries; use find for one")
        for query in queries:
            if not isinstance(query, Query):
                raise DataError(
                    f"a query is a hgan.Query, not {type(query).__name__}; write "
                    "Query('two dogs'), or use search(text)"
                )
        options = SearchOptions(k, offset, filter_of(where), threshold, fold, candidates)
        return self._find(queries, options)

    def search(
        self,
        text: str,
        k: int = 10,
        *,
        offset: int = 0,
        where: Where = None,
        threshold: float | None = None,
        fold: bool = False,
        candidates: int | None = None,
    ) -> list[Hit]:
        """The k photos that match a sentence best, best first; see `find`."""
        if not isinstance(text, str):
            raise DataError(
                f"search takes one sentence, not {type(text).__name__}; use search_image for a "
                "photo, find_many for several queries"
            )
        return self.find(
            Query(text),
            k,
            offset=offset,
            where=where,
            threshold=threshold,
            fold=fold,
            candidates=candidates,
        )

    def search_image(
        self,
        photo: PhotoSource,
        k: int = 10,
        *,
        offset: int = 0,
        where: Where = None,
        threshold: float | None = None,
        fold: bool = False,
        candidates: int | None = None,
    ) -> list[Hit]:
        """The k photos most similar to a photo: a file, bytes, an image or an array; see `find`."""
        return self.find(
            Query(photo=photo),
            k,
            offset=offset,
            where=where,
            threshold=threshold,
            fold=fold,
            candidates=candidates,
        )

    @abstractmethod
    def _find(self, queries: Sequence[Query], options: SearchOptions) -> list[list[Hit]]:
        """The hits of each query."""

    @abstractmethod
    def explain(self, item: str, text: str) -> Explanation:
        """Why a photo of the index has its similarity to a sentence.

        Args:
            item: the photo: its id, or its path below the folder that was indexed.
            text: the sentence.

        Raises:
            DataError: there is no such photo, it cannot be read, or there are no words in the text.
            IndexingError: the index or the service fails.
        """

    @abstractmethod
    def __len__(self) -> int:
        """How many photos, or sentences, there are."""

    def __bool__(self) -> bool:
        """True even without photos: `if index` asks whether there is one, not how large it is."""
        return True

    @abstractmethod
    def close(self) -> None:
        """Release what is held; closing again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def filter_of(where: Where) -> Filter:
    """The filter of conditions in any form.

    Raises:
        DataError: a condition is not one.
    """
    if where is None:
        return Filter()
    if isinstance(where, Filter):
        return where
    if isinstance(where, str):
        return Filter.parse([where])
    if isinstance(where, dict) or not isinstance(where, Iterable):
        raise DataError(
            f"where is a Filter or conditions such as {EXAMPLES}, not {type(where).__name__}"
        )
    return Filter.parse(where)
