"""Search an index in two stages: find candidates by context and slots, then score them by S.

The first stage is one inner product per item. The second stage adds the local level for the
candidates, so that the score of a hit is the model's similarity S.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePath
from typing import NamedTuple

from hgan.errors import DataError
from hgan.index.conditions.filter import Filter
from hgan.index.store.contract import Entry, Match, Point, ReplacedError, Store
from hgan.index.store.manifest import Holds, IndexManifest
from hgan.index.store.open import Target, is_address, open_store, read_manifest
from hgan.runtime.bundle import Bundle
from hgan.runtime.explain import Explanation
from hgan.runtime.images import read_photo
from hgan.runtime.region_grid import pooled
from hgan.runtime.similarity import dense_bound, dense_levels
from hgan.search.browsing import TimelinePhoto, all_photos, time_of
from hgan.search.calibration import BEST
from hgan.search.duplicates import fold
from hgan.search.finder import Finder, Hit, SearchOptions
from hgan.search.ids import possible_ids
from hgan.search.language.suggest import Suggestion, suggest
from hgan.search.query import EncodedQuery, Query, encode
from hgan.search.relevance import Relevance
from hgan.search.scoring import Scorer
from hgan.search.values import Values
from hgan.search.words import Unknown, unknown_words
from hgan.sources.open import content_of
from hgan.sources.roots import Roots

CANDIDATES = 100
"""Minimum number of items that are scored exactly."""
CANDIDATES_EACH = 4
"""Number of candidates for each requested hit."""

SAME = 1e-3
"""Maximum difference of two inner products of a query and one vector, as a part of the largest
possible one; the engine's differs from numpy's by 3e-5 (float16 and 8 bits)."""

_ATTEMPTS = 3
"""Number of searches, if hits are deleted or replaced by others while a search runs."""


class _Ranking(NamedTuple):
    """The candidates of a search."""

    matches: list[Match]
    """Best first: by S in each round."""
    dense: dict[str, float]
    """Inner product with the query's dense vector."""
    local: dict[str, float]
    """Similarity at the local level."""
    complete: bool
    """Whether these are all items that match the filter and the threshold."""
    best: float
    """Mean S of the `BEST` candidates of the first round with the highest S."""


class Index(Finder):
    """An index that is open for searching; several threads may search at once."""

    def __init__(
        self,
        store: Store,
        bundle: Bundle,
        roots: Roots,
        closing: ExitStack,
        holds: Holds = "photos",
        where: object = None,
    ) -> None:
        """Use `open_index`."""
        self.bundle = bundle
        self.roots = roots
        """Where the photos are, or the texts."""
        self.holds = holds
        """What the index contains: photos or texts."""
        self._store = store
        self._closing = closing
        self._where = where or f"the index of {roots}"  # for error messages
        self._scorer = Scorer(store, bundle, holds, self._where)
        self._relevance = Relevance(bundle, store)
        self.values = Values(store)
        """The values that photos have, for conditions and suggestions."""

    @property
    def root(self) -> PurePath:
        """The folder or address of the photos, or the file of the texts; of several folders, the
        first one."""
        return self.roots.first

    def _find(self, queries: Sequence[Query], options: SearchOptions) -> list[list[Hit]]:
        """The hits of each query; all texts are encoded in one batch."""
        options = replace(options, where=self.values.resolve(options.where))
        encoded = encode(queries, self.bundle, self._stored)
        return [self._search(query, options) for query in encoded]

    def _browse(self, where: Filter, fold: bool) -> Iterator[TimelinePhoto]:
        if self.holds == "texts":
            raise DataError(f"{self._where}: contains texts, and only photos can be browsed")
        photos = all_photos(self._store, self.values.resolve(where), fold)
        return (TimelinePhoto.of(shown, self.roots) for shown in photos)

    def exhaustive(self, text: str, k: int = 10) -> list[Hit]:
        """Search like `search`, but score every photo exactly; slow."""
        [query] = encode([Query(text)], self.bundle, self._stored)
        return self._search(query, SearchOptions(k, candidates=len(self), exact=True))

    def unknown_words(self, query: Query) -> list[Unknown]:
        """Words of a query that the model does not know, and what may have been meant. There are
        none for models without a calibration, or of other languages than English.

        Raises:
            BundleError: the calibration or the tokenizer is damaged.
        """
        calibration = self._relevance.calibration
        if calibration is None or self.bundle.languages != ("en",):
            return []
        texts = " ".join(text for _, text in query.weighted_texts)
        return unknown_words(texts, calibration.vocabulary, self.bundle.is_token)

    def unknown_values(self, where: Filter) -> list[str]:
        """For each value in conditions that nothing in the index has: a message with similar ones.

        Raises:
            IndexingError: the index fails.
        """
        return self.values.unknown(where)

    def suggest(self, line: str, at: int | None = None, limit: int = 8) -> list[Suggestion]:
        """Names of fields and values that can be written in a line of the query language.

        Args:
            line: what was typed.
            at: position of the cursor in it, by default the end.
            limit: maximum number of suggestions.

        Raises:
            IndexingError: the index fails.
        """
        return suggest(self.values, line, at, limit)

    def explain(self, item: str, text: str) -> Explanation:
        """Explain the similarity of a photo in the index to a sentence; see `Finder.explain`."""
        entry = self._stored(item).entry
        if entry.text:
            raise DataError(f"{item}: is a sentence; only photos can be explained")
        path = self._path(entry)
        return self.bundle.explain(read_photo(content_of(path), name=path.name), text)

    def __len__(self) -> int:
        return self._store.count()

    def close(self) -> None:
        """Release the index, so that another process can open it."""
        self._closing.close()

    def _stored(self, name: str) -> Point:
        """The item with this id, or the photo with this path; see `possible_ids`."""
        found = self._store.fetch(possible_ids(name, self.roots), local=True)
        if not found and self.holds == "texts":
            raise DataError(
                f"{name}: no sentence in this index of {self.roots} has this id; use an id from "
                "the output of --json, or search by text"
            )
        if not found:
            raise DataError(
                f"{name}: not in this index of {self.roots}; use the path or the id of a photo in "
                "the index, or search by the photo's file instead"
            )
        return found[0]

    def _search(self, query: EncodedQuery, options: SearchOptions) -> list[Hit]:
        wanted = options.end if options.fold else options.k
        for _ in range(_ATTEMPTS):
            ranking = self._ranked(query, options)
            found = self._points(ranking.matches, options)
            points = self._unchanged(found, query, ranking)
            if len(points) == len(found) and (ranking.complete or len(points) >= wanted):
                break  # otherwise items were deleted or replaced meanwhile
        groups = [[row] for row in range(len(points))]
        if options.fold:
            groups = fold(points, options.end)[options.offset :]
        hits = self._hits(query, [[points[row] for row in rows] for rows in groups], ranking)
        if options.min_relevance is None:
            return hits
        return [hit for hit in hits if self._known(hit.relevance) >= options.min_relevance]

    def _known(self, relevance: float | None) -> float:
        """The relevance, if it is known.

        Raises:
            DataError: it is not.
        """
        if relevance is not None:
            return relevance
        if self.holds == "photos" and self._relevance.calibration is None:
            raise DataError(
                f"{self.bundle.name}: has no calibration, so the relevance of hits is not known; "
                "`hgan calibrate` writes one, or use a minimum score"
            )
        raise DataError(
            "the relevance of hits is only known if photos are searched with a text; use a "
            "minimum score instead"
        )

    def _ranked(self, query: EncodedQuery, options: SearchOptions) -> _Ranking:
        """Find candidates in rounds, each of twice as many, and score those that are new by S.

        The candidates of a round follow those of the rounds before. So the order of the first does
        not change when more are needed for a later page, and each item is on one page.
        """
        ranked: list[Match] = []
        found: dict[str, float] = {}
        local: dict[str, float] = {}
        best = 0.0
        # Without dense vectors, the first stage cannot rank.
        for limit in _limits(options, 0 if len(query.dense) else len(self)):
            # The graph may not reach every item, which matters only on the way to the last page.
            exact = options.exact or (bool(found) and limit >= len(self))
            matches = self._matches(query, limit, options.where, exact)
            new = {match.id: match.score for match in matches if match.id not in found}
            scored = self._scorer.score(query, new)
            if not found:
                first = scored.matches[:BEST]
                best = sum(match.score for match in first) / max(len(first), 1)
            found |= new
            local |= scored.local
            ranked += scored.matches
            if len(matches) < limit:
                break
        complete = len(matches) < limit
        if options.threshold is not None:
            kept = [match for match in ranked if match.score >= options.threshold]
            complete = complete or len(kept) < len(ranked)
            ranked = kept
        return _Ranking(ranked, found, local, complete, best)

    def _matches(self, query: EncodedQuery, limit: int, where: Filter, exact: bool) -> list[Match]:
        """The candidates by context and slots."""
        wanted = limit + len(query.excluded)
        matches = self._store.search(query.dense, wanted, where, exact)
        return [match for match in matches if match.id not in query.excluded][:limit]

    def _points(self, scored: list[Match], options: SearchOptions) -> list[Point]:
        """The points to return, or to group; items that were deleted meanwhile are replaced by
        the next ones."""
        if options.fold:
            return self._store.fetch([match.id for match in scored])
        points: list[Point] = []
        position = options.offset
        while len(points) < options.k and position < len(scored):
            chosen = scored[position : position + options.k - len(points)]
            points += self._store.fetch([match.id for match in chosen])
            position += len(chosen)
        return points

    def _unchanged(
        self, points: list[Point], query: EncodedQuery, ranking: _Ranking
    ) -> list[Point]:
        """The points that were not replaced while the search ran: otherwise, S would be the sum of
        one photo's similarity at the dense levels and another one's at the local level."""
        if not len(query.dense):
            return points
        most = SAME * dense_bound(query.dense, self.bundle.weights)
        return [
            point
            for point in points
            if abs(float(point.dense @ query.dense) - ranking.dense[point.entry.id]) <= most
        ]

    def _hits(self, query: EncodedQuery, groups: list[list[Point]], ranking: _Ranking) -> list[Hit]:
        """A hit for each group of points: the first one, with the others as its duplicates."""
        scores = {match.id: match.score for match in ranking.matches}
        widths, weights = self.bundle.widths, self.bundle.weights
        firsts = [group[0] for group in groups]
        relevance: Sequence[float | None] | None = None
        if self.holds == "photos":
            values = [scores[point.entry.id] for point in firsts]
            relevance = self._relevance.of(query, firsts, values, ranking.best)
        hits = []
        for row, (point, *near) in enumerate(groups):
            levels = dense_levels(point.dense[None], query.dense, widths, weights)
            parts = {name: float(values[0]) for name, values in levels.items()}
            if weights["local"]:
                parts["local"] = ranking.local[point.entry.id]
            others = _once_each([point.entry, *(other.entry for other in near)])
            hits.append(
                Hit(
                    self._file(point.entry),
                    scores[point.entry.id],
                    parts,
                    point.entry.id,
                    tuple(map(self._file, others)),
                    point.entry.text,
                    None if relevance is None else relevance[row],
                    point.entry.width,
                    point.entry.height,
                    time_of(point.entry),
                    point.entry.moment,
                    point.entry.frame,
                    tuple(other.id for other in others),
                )
            )
        return hits

    def _file(self, entry: Entry) -> PurePath:
        """The file of an item: the video of a frame."""
        path = self._path(entry)
        return path if entry.moment is None else path.with_name(PurePath(entry.file).name)

    def _path(self, entry: Entry) -> PurePath:
        return Path(entry.path) if entry.text else self.roots.path(entry.path)


def _once_each(group: Sequence[Entry]) -> list[Entry]:
    """The near-duplicates of the first of a group, each video once, and not the first one's own."""
    found: dict[str, Entry] = {}
    for entry in group:
        found.setdefault(entry.id if entry.moment is None else entry.file, entry)
    return list(found.values())[1:]


def _limits(options: SearchOptions, least: int) -> Iterator[int]:
    """The number of candidates of each round; the first is the same for all pages of a size."""
    limit = options.candidates or max(CANDIDATES, CANDIDATES_EACH * options.k)
    limit = max(limit, least)
    yield limit
    while limit < options.end:
        limit *= 2
        yield limit


def open_index(path: Path | str, bundle: Bundle | Path | str | None = None) -> Index:
    """Open an index that `index_folder` wrote; close it after use, or use it in a `with`.

    Args:
        path: the index, a folder or the address of a collection on a server.
        bundle: the model that made the index, or its folder; by default the folder that the model
            was in when the index was made.

    Raises:
        IndexingError: there is no index, it was made with another bundle, or another process has
            it open.
        BundleError: the bundle is missing or damaged.
    """
    target = path if is_address(path) else Path(path)
    try:
        return _open(target, bundle)
    except ReplacedError:  # between the manifest and the store
        return _open(target, bundle)


def _open(target: Target, bundle: Bundle | Path | str | None) -> Index:
    manifest = read_manifest(target)
    used = bundle_of(manifest, target, bundle)
    with ExitStack() as stack:
        store = stack.enter_context(open_store(target, manifest))
        return Index(store, used, manifest.roots, stack.pop_all(), manifest.holds, target)


def bundle_of(
    manifest: IndexManifest, target: Target, bundle: Bundle | Path | str | None = None
) -> Bundle:
    """The bundle that made an index, with the index's number of regions; see `open_index`."""
    if bundle is None:
        bundle = manifest.load_bundle()
    if not isinstance(bundle, Bundle):
        bundle = Bundle.load(bundle)
    manifest.check_bundle(target, IndexManifest.of(manifest.root, bundle))
    return pooled(bundle, manifest.regions)
