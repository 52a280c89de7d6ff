"""The search interface, shared by a local index and a service.

`hgan.Index` and `hgan.Client` implement it, so that programs can use either.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import PurePath
from types import TracebackType
from typing import Self

from hgan.errors import DataError
from hgan.index.conditions.fields import EXAMPLES
from hgan.index.conditions.filter import Filter
from hgan.runtime.explain import Explanation
from hgan.runtime.images import PhotoSource
from hgan.runtime.video import clock
from hgan.search.browsing import TimelinePhoto
from hgan.search.calibration import Grade, grade
from hgan.search.language.parse import parse
from hgan.search.query import Query

Where = Filter | str | Iterable[str] | None
"""A filter, one condition, or several conditions; see `hgan.Filter`."""


@dataclass(frozen=True)
class Hit:
    """A photo or a sentence that a search found."""

    path: PurePath
    """A file, or an address in an object store (see `hgan.sources.types.Address`). For a sentence,
    the name of the photo that it describes, as in its file; empty if there is none."""
    score: float
    """S, the weighted sum of the levels; for a query of several parts, the weighted sum of S."""
    levels: dict[str, float]
    """Similarity at each level that the model has; for several parts, the weighted sum like S."""
    id: str = ""
    """Id of the item in the index; it changes only with its path."""
    duplicates: tuple[PurePath, ...] = ()
    """Near-duplicates with the same or a lower score, if the search folds them; for sentences, the
    photos that they describe."""
    text: str = ""
    """The sentence; empty for a photo."""
    relevance: float | None = None
    """How relevant the hit is, from 0 to 1, comparable between queries; see
    `hgan.search.calibration`. None if it is not known: for queries by photo, and for models
    without a calibration."""
    width: int = 0
    """Width of the upright photo in pixels; 0 if unknown."""
    height: int = 0
    """Height of the upright photo in pixels; 0 if unknown."""
    taken: datetime | None = None
    """Time the photo was taken, by the camera's clock; None if unknown."""
    moment: float | None = None
    """For a frame of a video, seconds since its start; `path` is that of the video. None for a
    photo."""
    frame: int | None = None
    """Number of the frame in the video, from 1; None for a photo."""
    duplicate_ids: tuple[str, ...] = ()
    """Ids of `duplicates`, in the same order."""

    @property
    def photo(self) -> PurePath:
        """What `Bundle.explain` and other methods read: the file, or the frame (`clip.mp4#2`)."""
        if self.frame is None:
            return self.path
        return self.path.with_name(f"{self.path.name}#{self.frame}")

    @property
    def shown(self) -> str:
        """The path for people, with the time in a video: `clip.mp4 at 0:42`."""
        return str(self.path) if self.moment is None else f"{self.path} at {clock(self.moment)}"

    @property
    def grade(self) -> Grade | None:
        """The word for the relevance: strong, fair or weak."""
        return None if self.relevance is None else grade(self.relevance)


@dataclass(frozen=True)
class SearchOptions:
    """Options that select which matching photos are returned; see `Finder.find`.

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
    min_relevance: float | None = None

    def __post_init__(self) -> None:
        if self.k < 0 or self.offset < 0:
            raise DataError(
                f"k and offset must not be negative; they are {self.k} and {self.offset}"
            )
        if self.min_relevance is not None and not 0 <= self.min_relevance <= 1:
            raise DataError(f"min_relevance must be between 0 and 1, not {self.min_relevance}")

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
        min_relevance: float | None = None,
        fold: bool = False,
        candidates: int | None = None,
    ) -> list[Hit]:
        """Find the photos that match a query best, best first; equal scores are ordered by id.

        Args:
            query: what to search for.
            k: number of hits.
            offset: number of hits to skip, for another page. Pages of the same size have each
                photo once, to the end of the collection, while it does not change. Later pages
                need more candidates, which follow those of earlier pages even if a few of them
                have a higher score.
            where: only photos that meet these conditions: a `Filter`, one condition such as
                "folder=2023/italy", or several.
            threshold: only photos with at least this score.
            min_relevance: only hits with at least this relevance, from 0 to 1; a page can then
                have fewer than k.
            fold: group near-duplicates under the best of them.
            candidates: number of photos from the first stage that are scored exactly, by default
                `CANDIDATES`, or `CANDIDATES_EACH` per hit if that is more (see
                `hgan.search.searcher`). More candidates come closer to an exhaustive search and
                take longer.

        Raises:
            DataError: a text contains no words, a photo cannot be read, a condition is not valid,
                `Query.like` names an item that is not in the index, or `min_relevance` is given,
                but relevance is not known.
            IndexingError: the index or the service fails.
        """
        return self.find_many(
            [query],
            k,
            offset=offset,
            where=where,
            threshold=threshold,
            min_relevance=min_relevance,
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
        min_relevance: float | None = None,
        fold: bool = False,
        candidates: int | None = None,
    ) -> list[list[Hit]]:
        """Find the hits of each query, as `find` does; faster than one query at a time."""
        if isinstance(queries, Query | str):
            raise DataError("find_many takes a list of queries; use find for one")
        for query in queries:
            if not isinstance(query, Query):
                raise DataError(
                    f"a query must be a hgan.Query, not {type(query).__name__}; write "
                    "Query('two dogs'), or use search(text)"
                )
        options = SearchOptions(
            k, offset, filter_of(where), threshold, fold, candidates, min_relevance=min_relevance
        )
        return self._find(queries, options)

    def search(
        self,
        text: str,
        k: int = 10,
        *,
        offset: int = 0,
        where: Where = None,
        threshold: float | None = None,
        min_relevance: float | None = None,
        fold: bool = False,
        candidates: int | None = None,
    ) -> list[Hit]:
        """Find the k photos that match a sentence best, best first; see `find`."""
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
            min_relevance=min_relevance,
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
        """Find the k photos most similar to a file, bytes, an image or an array; see `find`."""
        return self.find(
            Query(photo=photo),
            k,
            offset=offset,
            where=where,
            threshold=threshold,
            fold=fold,
            candidates=candidates,
        )

    def ask(
        self,
        line: str,
        k: int = 10,
        *,
        offset: int = 0,
        where: Where = None,
        threshold: float | None = None,
        min_relevance: float | None = None,
        fold: bool = False,
        candidates: int | None = None,
    ) -> list[Hit]:
        """Find the k photos that fit a line with words and conditions, best first.

        The line is what a person types, such as `dog in:2023 rating>=4 -people`; see
        `hgan.search.language.parse`, which says how it is understood. Other parameters are those of
        `find`; `where` is met in addition to the conditions of the line. For conditions alone,
        the hits are those of `newest`.

        Raises:
            LanguageError: a condition in the line is not valid.
            DataError, IndexingError: see `find`.
        """
        if not isinstance(line, str):
            raise DataError(f"ask takes one line of text, not {type(line).__name__}")
        parsed = parse(line)
        if parsed.browses:
            if threshold is not None or min_relevance is not None:
                raise DataError(f"{line}: conditions alone have no score; add words, or omit it")
            return self.newest(k, offset=offset, where=parsed.where & filter_of(where), fold=fold)
        return self.find(
            parsed.query(),
            k,
            offset=offset,
            where=parsed.where & filter_of(where),
            threshold=threshold,
            min_relevance=min_relevance,
            fold=fold,
            candidates=candidates,
        )

    def browse(self, where: Where = None, *, fold: bool = False) -> Iterator[TimelinePhoto]:
        """All photos, or those that meet conditions, the newest first; they are read in pages.

        Photos of the same second are ordered by id, and photos without a time come last. Each photo
        comes once, also if others are added or removed meanwhile.

        Args:
            where: only photos that meet these conditions, see `find`.
            fold: group near-duplicates of the same second, and the frames of a video, under the
                largest of them.

        Raises:
            DataError: a condition is not valid, or the index contains texts.
            IndexingError: the index or the service fails.
        """
        return self._browse(filter_of(where), fold)

    def newest(
        self, k: int = 10, *, offset: int = 0, where: Where = None, fold: bool = False
    ) -> list[Hit]:
        """A page of `browse` as hits, whose score is 0 and which have no levels.

        Raises:
            DataError, IndexingError: see `browse`.
        """
        found = islice(self.browse(where, fold=fold), offset, SearchOptions(k, offset).end)
        return [
            Hit(
                one.path,
                0.0,
                {},
                one.id,
                width=one.width,
                height=one.height,
                taken=one.taken,
                moment=one.moment,
                frame=one.frame,
                duplicates=one.duplicates,
                duplicate_ids=one.duplicate_ids,
            )
            for one in found
        ]

    @abstractmethod
    def _browse(self, where: Filter, fold: bool) -> Iterator[TimelinePhoto]:
        """The photos of `browse`."""

    @abstractmethod
    def _find(self, queries: Sequence[Query], options: SearchOptions) -> list[list[Hit]]:
        """The hits of each query."""

    @abstractmethod
    def explain(self, item: str, text: str) -> Explanation:
        """Explain the similarity of a photo in the index to a sentence.

        Args:
            item: the id of the photo, or its path relative to the indexed folder.
            text: the sentence.

        Raises:
            DataError: there is no such photo, it cannot be read, or the text contains no words.
            IndexingError: the index or the service fails.
        """

    @abstractmethod
    def __len__(self) -> int:
        """Number of photos, or sentences, in the index."""

    def __bool__(self) -> bool:
        """Always True, also for an empty index, so that `if index` does not depend on `len`."""
        return True

    @abstractmethod
    def close(self) -> None:
        """Release all resources; calling it again does nothing."""

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
    """Convert conditions in any form to a filter.

    Raises:
        DataError: a condition is not valid.
    """
    if where is None:
        return Filter()
    if isinstance(where, Filter):
        return where
    if isinstance(where, str):
        return Filter.parse([where])
    if isinstance(where, dict) or not isinstance(where, Iterable):
        raise DataError(
            f"where must be a Filter or conditions such as {EXAMPLES}, not {type(where).__name__}"
        )
    return Filter.parse(where)
