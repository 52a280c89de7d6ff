"""Photos, or texts, by words or by photo, in two stages: candidates by context and slots, then S.

The first stage is one inner product an item; the second adds the local level to the candidates
that the first found, so the score of a hit is the model's own similarity.
"""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from types import TracebackType
from typing import Self
from uuid import UUID

import numpy as np

from hgan.errors import DataError
from hgan.index.store.contract import Entry, Match, Point, Store
from hgan.index.store.filter import Filter, inner_folder
from hgan.index.store.manifest import Holds, IndexManifest
from hgan.index.store.open import Target, is_address, open_store, read_manifest
from hgan.runtime.bundle import Bundle
from hgan.runtime.region_grid import pooled
from hgan.runtime.similarity import dense_levels, sentence_levels
from hgan.search.duplicates import fold
from hgan.search.query import Encodings, PhotoSource, Query, Range, encode
from hgan.sources.open import is_elsewhere, place_of

CANDIDATES = 100
"""Items that the second stage looks at, at least."""
CANDIDATES_EACH = 4
"""Candidates for each hit that is asked for."""


@dataclass(frozen=True)
class Hit:
    """A photo, or a sentence, that a search found."""

    path: PurePath
    """A file; or the address of what is in no folder, see `hgan.sources.types.Address`. Of a
    sentence, the photo that it describes as its file names it; empty where it names none."""
    score: float
    """S, the weighted sum of the levels; for a query of several parts, the weighted sum of S."""
    levels: dict[str, float]
    """Similarity by level, for the levels that the model has; summed over parts like S."""
    id: str = ""
    """Of the item in the index; the same as long as its path is."""
    duplicates: tuple[PurePath, ...] = ()
    """Photos that are nearly the same and score no more, where a search folds them; of sentences,
    the photos that they describe."""
    text: str = ""
    """The sentence; nothing for a photo."""


class Index:
    """An index that is open for searching; several threads may search at once."""

    def __init__(
        self,
        store: Store,
        bundle: Bundle,
        root: PurePath,
        closing: ExitStack,
        holds: Holds = "photos",
    ) -> None:
        """Use `open_index`."""
        self.bundle = bundle
        self.root = root
        """The folder that the photos are in, or an address; or the file that the texts are from."""
        self.holds = holds
        """What is found: photos or texts."""
        self._store = store
        self._closing = closing

    def find(
        self,
        query: Query,
        k: int = 10,
        *,
        offset: int = 0,
        where: Filter | None = None,
        threshold: float | None = None,
        fold: bool = False,
        candidates: int | None = None,
    ) -> list[Hit]:
        """The photos that fit a query best, best first; those of equal score in the order of ids.

        Args:
            query: what to search for.
            k: how many hits.
            offset: how many to skip, for another page. Pages of one size never overlap as far as
                the candidates go; further ones need more candidates, of which some may come first.
                With `candidates` given, pages of any size fit together up to there.
            where: only photos that pass this.
            threshold: only photos whose score is as large.
            fold: put photos that are nearly the same under the best of them.
            candidates: how many items of the first stage the second looks at, by default
                `CANDIDATES` or `CANDIDATES_EACH` a hit; more find more of what an exhaustive
                search would, and take longer.

        Raises:
            DataError: a text has no words in it, a photo cannot be read, or the item to be like
                is not in the index.
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
        where: Filter | None = None,
        threshold: float | None = None,
        fold: bool = False,
        candidates: int | None = None,
    ) -> list[list[Hit]]:
        """What `find` finds for each query; all texts are encoded in one batch."""
        wanted = Range(k, offset, where, threshold, fold, candidates)
        return [self._search(query, wanted) for query in encode(queries, self.bundle, self._stored)]

    def search(
        self,
        text: str,
        k: int = 10,
        candidates: int | None = None,
        folder: str | None = None,
        where: Filter | None = None,
    ) -> list[Hit]:
        """The k photos that fit a sentence best, best first.

        Args:
            text: what the photo shows.
            k: how many hits.
            candidates: how many photos of the first stage the second looks at.
            folder: only photos in this folder below the root, at any depth.
            where: only photos that pass this as well.

        Raises:
            DataError: there are no words in the text.
        """
        query = Query(text)
        return self.find(query, k, where=_inside(folder, where), candidates=candidates)

    def search_image(
        self,
        photo: PhotoSource,
        k: int = 10,
        candidates: int | None = None,
        folder: str | None = None,
        where: Filter | None = None,
    ) -> list[Hit]:
        """The k photos most like a photo, given as a file, its bytes or an image.

        Raises:
            DataError: the photo cannot be read.
        """
        query = Query(photo=photo)
        return self.find(query, k, where=_inside(folder, where), candidates=candidates)

    def exhaustive(self, text: str, k: int = 10) -> list[Hit]:
        """What `search` would find if the second stage looked at every photo; slow."""
        [query] = encode([Query(text)], self.bundle, self._stored)
        return self._search(query, Range(k, candidates=len(self), exact=True))

    def __len__(self) -> int:
        return self._store.count()

    def close(self) -> None:
        """Let go of the index, so that another process can open it."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _stored(self, name: str) -> Point:
        """The photo of a path, below the root or from where we are, or of an id."""
        found = self._store.fetch(_ids(name, self.root), local=True)
        if not found and self.holds == "texts":
            raise DataError(
                f"{name}: no sentence of this index, which holds those of {self.root}, has this id;"
                " name one by its id, as --json prints it, or search by its words instead"
            )
        if not found:
            raise DataError(
                f"{name}: no photo of this index, which holds those of {self.root}; name one of "
                "them by its path or its id, or search by its file instead"
            )
        return found[0]

    def _search(self, query: Encodings, wanted: Range) -> list[Hit]:
        limit = _candidates(wanted) + len(query.left_out)
        if not len(query.dense):  # the local level alone: the first stage has no opinion
            limit = max(limit, len(self))
        found = [
            match
            for match in self._store.search(query.dense, limit, wanted.where, wanted.exact)
            if match.id not in query.left_out
        ]
        weight = self.bundle.config.weights["local"]
        local = self._local(query, [match.id for match in found]) if weight else {}
        scored = [Match(key, score + weight * local.get(key, 0.0)) for key, score in found]
        if wanted.threshold is not None:
            scored = [match for match in scored if match.score >= wanted.threshold]
        # Equal photos keep an order that does not depend on the engine.
        scored.sort(key=lambda match: (-match.score, match.id))
        if not wanted.fold:
            scored = scored[wanted.offset : wanted.end]
        points = self._store.fetch([match.id for match in scored])
        scores = {match.id: match.score for match in scored}
        groups = [[row] for row in range(len(points))]
        if wanted.fold:
            groups = fold(points, wanted.end)[wanted.offset :]
        return self._hits(query, [[points[row] for row in rows] for rows in groups], scores, local)

    def _local(self, query: Encodings, ids: list[str]) -> dict[str, float]:
        """Similarity at the local level, summed over the parts of the query."""
        if self.holds == "texts":
            return self._local_of_texts(query, ids)
        wanted = self._store.rescore(query.wanted, ids) if len(query.wanted) else {}
        unwanted = self._store.rescore(query.unwanted, ids) if len(query.unwanted) else {}
        return {key: wanted.get(key, 0.0) - unwanted.get(key, 0.0) for key in ids}

    def _local_of_texts(self, query: Encodings, ids: list[str]) -> dict[str, float]:
        """The same where words are in the index: the engine's MaxSim goes the other way, from the
        query's vectors to the stored ones."""
        points = self._store.fetch(ids, local=True)
        words = [point.local for point in points]
        total = np.zeros(len(points), np.float32)
        for part in query.parts:
            total += part.weight * sentence_levels(words, part.local, part.is_photo)
        return {point.entry.id: float(score) for point, score in zip(points, total, strict=True)}

    def _hits(
        self,
        query: Encodings,
        groups: list[list[Point]],
        scores: dict[str, float],
        local: dict[str, float],
    ) -> list[Hit]:
        """A hit for each group of points, the first with the others as its duplicates."""
        config = self.bundle.config
        hits = []
        for point, *others in groups:
            levels = dense_levels(query.dense, point.dense[None], config.widths, config.weights)
            parts = {name: float(values[0]) for name, values in levels.items()}
            if config.weights["local"]:
                parts["local"] = local[point.entry.id]
            hits.append(
                Hit(
                    self._path(point.entry),
                    scores[point.entry.id],
                    parts,
                    point.entry.id,
                    tuple(self._path(other.entry) for other in others),
                    point.entry.text,
                )
            )
        return hits

    def _path(self, entry: Entry) -> PurePath:
        return Path(entry.path) if entry.text else self.root / entry.path


def _candidates(wanted: Range) -> int:
    """As many for every page, as long as they are enough."""
    if wanted.candidates is not None:
        return max(wanted.candidates, wanted.end)
    limit = max(CANDIDATES, CANDIDATES_EACH * wanted.k)
    while limit < wanted.end:
        limit *= 2
    return limit


def _ids(name: str, root: PurePath) -> list[str]:
    """The ids that a photo may have that is named by its id, or by a path below the root or from
    where we are."""
    with suppress(ValueError):
        return [str(UUID(name))]
    paths = [Path(name).as_posix()]
    if is_elsewhere(name):
        with suppress(ValueError):  # of other photos
            paths.append(place_of(name).relative_to(root).as_posix())
    with suppress(OSError, ValueError):  # no name that a file could have
        seen = Path(name).parent.resolve() / Path(name).name  # a photo that is a link stays one
        paths.append(seen.relative_to(root).as_posix())
    printable = [path.encode("utf-8", "replace").decode() for path in paths]
    return [Entry(path, size=0, mtime=0, digest="").id for path in printable]


def _inside(folder: str | None, where: Filter | None) -> Filter:
    """A filter that a folder is added to."""
    where = where or Filter()
    if folder is None:
        return where
    if where.folder is not None:
        raise DataError(f"{folder!r}: the folder is in `where` as well; leave one out")
    return replace(where, folder=inner_folder(folder))


def open_index(path: Path | str, bundle: Bundle | Path | None = None) -> Index:
    """Open an index that `index_folder` made; close it, or use it in a `with`.

    Args:
        path: the index, a folder or the address of a collection on a server.
        bundle: the model that made it, or its folder; by default it is looked for where it was.

    Raises:
        IndexingError: there is no index, it was made with another bundle, or another process has
            it open.
        BundleError: the bundle is missing or damaged.
    """
    target = path if is_address(path) else Path(path)
    manifest = read_manifest(target)
    bundle = bundle_of(manifest, target, bundle)
    with ExitStack() as stack:
        store = stack.enter_context(open_store(target, manifest))
        return Index(store, bundle, place_of(manifest.root), stack.pop_all(), manifest.holds)


def bundle_of(
    manifest: IndexManifest, target: Target, bundle: Bundle | Path | None = None
) -> Bundle:
    """The bundle that made an index, as the index uses it; see `open_index`."""
    if bundle is None and manifest.bundle_path is not None:
        bundle = Path(manifest.bundle_path)
    if not isinstance(bundle, Bundle):
        bundle = Bundle.load(bundle)
    manifest.check_bundle(target, bundle.id, bundle.config.name)
    return pooled(bundle, manifest.regions)
