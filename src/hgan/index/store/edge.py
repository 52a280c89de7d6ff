"""The default store: Qdrant Edge, the Qdrant engine embedded in this process."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as edge

from hgan.errors import IndexingError
from hgan.files import parse_json
from hgan.index.conditions.filter import Filter
from hgan.index.store.contract import (
    OVERSAMPLING,
    BrokenError,
    Checked,
    Entry,
    InUseError,
    Match,
    Point,
    ReadOnlyError,
    Store,
    StoreFacts,
    beam,
)
from hgan.index.store.edge_schema import DIALECT, config_of, in_buckets, index_payload
from hgan.index.store.engine_filter import to_filter
from hgan.index.store.manifest import Quantize
from hgan.index.store.payload import (
    DAMAGED,
    TIME,
    Widths,
    counted,
    most_frequent,
    to_entry,
    within,
)
from hgan.index.store.snapshot import OPEN_SPACE, space_used

SPACE_KEPT = 256 * 2**20
"""Free disk space that is required before a write, in bytes. The engine maps its files into memory;
if the disk is full, the process ends with a bus error instead of an exception."""

_CHANGED = "changed"
"""An empty file whose modification time is the time of the last change. The engine's own files
cannot be used for this, because it writes some of them whenever it opens."""

_REFUSED = "Too many open files", "Cannot allocate memory", "Permission denied"
"""Parts of the engine's messages if the system refuses something; the files are not damaged."""

_PAGE = 2000
"""Entries per request."""
_POINTS = 500
"""Points with their vectors per request."""

Commit = Callable[[int | None], None]
"""Records the number of points: None before the first change, and the number after the last one."""


class EdgeStore(Store):
    """A folder with one Qdrant Edge shard; only one process at a time can open it."""

    def __init__(
        self,
        folder: Path,
        shard: "edge.EdgeShard",
        widths: Widths,
        commit: Commit | None = None,
        read_only: str | None = None,
        where: Path | None = None,
    ) -> None:
        """Use `EdgeStore.create` or `EdgeStore.load`."""
        self._folder = folder
        self._shard: edge.EdgeShard | None = shard
        self._widths = widths
        self._commit = commit
        self._read_only = read_only
        self._where = where or folder
        self._changed = False

    @classmethod
    def create(
        cls,
        folder: Path,
        dense: int,
        local: int,
        quantize: Quantize | None = None,
        commit: Commit | None = None,
        where: Path | None = None,
    ) -> "EdgeStore":
        """Create a store for vectors of these widths; a level of width zero is not stored.

        Args: see `load`.

        Raises:
            IndexingError: the folder cannot be written, or already contains a store.
        """
        with _engine(where or folder):
            folder.mkdir(parents=True, exist_ok=True)
            _require_space(folder, SPACE_KEPT)
            shard = edge.EdgeShard.create(str(folder), config_of(dense, local, quantize))
            index_payload(shard)
            return cls(folder, shard, Widths(dense, local, quantize), commit, where=where)

    @classmethod
    def load(
        cls,
        folder: Path,
        dense: int,
        local: int,
        quantize: Quantize | None = None,
        commit: Commit | None = None,
        read_only: str | None = None,
        where: Path | None = None,
    ) -> "EdgeStore":
        """Open a store that was created with these widths.

        Args:
            folder: the store.
            dense: width of the dense vectors.
            local: width of the local vectors.
            quantize: format of the vectors.
            commit: called before the first change, and when the changed store is closed.
            read_only: the reason why changes are refused; None if they are accepted.
            where: the index that error messages name; by default `folder`.

        Raises:
            IndexingError: it is damaged, or another process has it open, or the disk is full.
        """
        with _engine(where or folder):
            if folder.is_dir():
                _require_space(folder, OPEN_SPACE)
            _check_widths(folder, where or folder, {"dense": dense, "local": local})
            shard = edge.EdgeShard.load(str(folder))
            if read_only is None:
                index_payload(shard)
            return cls(folder, shard, Widths(dense, local, quantize), commit, read_only, where)

    def upsert(self, points: Sequence[Point]) -> None:
        """Add points, replacing those with the same ids."""
        named, payload = self._widths.named, self._widths.payload
        records = [edge.Point(p.entry.id, named(p), payload(p)) for p in points]
        self._update(edge.UpdateOperation.upsert_points(records))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are ignored."""
        self._update(edge.UpdateOperation.delete_points(list(ids)))

    def search(
        self,
        vector: np.ndarray,
        limit: int,
        where: Filter | None = None,
        exact: bool = False,
    ) -> list[Match]:
        """The top `limit` points by inner product with a dense vector (E,), best first."""
        if not limit:
            return []
        query = edge.Query.Nearest(vector.tolist(), using="dense") if self._widths.dense else None
        with self._open() as shard:
            request = edge.QueryRequest(
                limit=limit,
                query=query,
                filter=to_filter(where, DIALECT),
                params=edge.SearchParams(
                    hnsw_ef=max(beam(shard.info().points_count), limit),
                    exact=exact,
                    quantization=_quantized_search(exact),
                ),
            )
            found = shard.query(request)
        # A model with only the local level has no dense vectors: all scores are equal.
        return [Match(str(point.id), point.score if self._widths.dense else 0.0) for point in found]

    def rescore(self, local: np.ndarray, ids: Sequence[str]) -> dict[str, float]:
        """MaxSim of a query's real words (w, D_l) and each of the points."""
        if not ids:
            return {}
        request = edge.QueryRequest(
            limit=len(ids),
            query=edge.Query.Nearest(local.tolist(), using="local"),
            filter=edge.Filter(must=[edge.HasIdCondition(set(ids))]),
        )
        with self._open() as shard:
            return {str(point.id): point.score for point in shard.query(request)}

    def fetch(self, ids: Sequence[str], local: bool = False) -> list[Point]:
        """The points of these ids, in this order; unknown ids are left out."""
        names = self._widths.names(local)
        with self._open() as shard:
            records = shard.retrieve(list(ids), with_payload=True, with_vector=names or False)
        return self._widths.points(records, ids, self._where, local)

    def entries(
        self, ids: Sequence[str] | None = None, buckets: range | None = None
    ) -> Iterator[Entry]:
        """The stored metadata of points, in any order; see `Store.entries`."""
        if ids is not None:
            with self._open() as shard:
                records = shard.retrieve(list(ids), with_payload=True, with_vector=False)
            yield from (to_entry(record.payload) for record in records)
            return
        offset = None
        while True:
            with self._open() as shard:
                page, offset = shard.scroll(
                    edge.ScrollRequest(
                        offset=offset, limit=_PAGE, filter=in_buckets(buckets), with_payload=True
                    )
                )
            yield from within((to_entry(record.payload) for record in page), buckets)
            if offset is None:
                return

    def newest(
        self, limit: int, where: Filter | None = None, before: int | None = None
    ) -> list[Entry]:
        """The newest photos that have a time, the newest first."""
        bounds = []
        if before is not None:
            bounds.append(edge.FieldCondition(key=TIME, range=edge.RangeFloat(lt=float(before))))
        order = edge.OrderBy(TIME, edge.Direction.Desc)
        return self._scrolled(limit, where, bounds, order_by=order)

    def of_time(
        self, taken: int | None, limit: int, where: Filter | None = None, after: str | None = None
    ) -> list[Entry]:
        """The photos that were taken in this second, or those without a time, by their ids."""
        if taken is None:
            time: Any = edge.IsEmptyCondition(TIME)
        else:
            time = edge.FieldCondition(key=TIME, match=edge.MatchValue(value=taken))
        # An offset is the first id of a page, not the last one before it.
        found = self._scrolled(limit + (after is not None), where, [time], offset=after)
        return [entry for entry in found if entry.id != after][:limit]

    def _scrolled(
        self, limit: int, where: Filter | None, more: list[Any], **options: Any
    ) -> list[Entry]:
        if limit <= 0:
            return []
        chosen = to_filter(where, DIALECT)
        must = [*([] if chosen is None else [chosen]), *more]
        request = edge.ScrollRequest(
            limit=limit,
            filter=edge.Filter(must=must) if must else None,
            with_payload=True,
            **options,
        )
        with self._open() as shard:
            return [to_entry(record.payload) for record in shard.scroll(request)[0]]

    def verify(self) -> Iterator[Checked]:
        """Read every point, and compare its vectors with their checksums."""
        names, offset = self._widths.names(local=True), None
        while True:
            with self._open() as shard:
                page, offset = shard.scroll(
                    edge.ScrollRequest(
                        offset=offset, limit=_POINTS, with_payload=True, with_vector=names
                    )
                )
            yield from map(self._widths.checked, page)
            if offset is None:
                return

    def mark_damaged(self, ids: Sequence[str]) -> None:
        """Set `Entry.damaged` of points, until they are stored again."""
        if ids:
            self._update(edge.UpdateOperation.set_payload(list(ids), DAMAGED))

    def count(self, where: Filter | None = None) -> int:
        """The number of points, or of those that pass a filter."""
        request = edge.CountRequest(filter=to_filter(where, DIALECT))
        with self._open() as shard:
            return shard.count(request)

    def counts(self, field: str, limit: int) -> dict[str, int]:
        """The values of a payload field with their number of points, the most frequent first."""
        with self._open() as shard:
            if field in shard.info().payload_schema:
                found = shard.facet(edge.FacetRequest(field, limit=limit, exact=True))
                return most_frequent(((str(hit.value), hit.count) for hit in found.hits), limit)
        return counted(self.entries(), field, limit)

    def facts(self) -> StoreFacts:
        """Engine, size, and time of the last change."""
        changed = None
        with self._open():
            with suppress(OSError):  # older versions of hgan did not write this file
                changed = (self._folder / _CHANGED).stat().st_mtime
            return StoreFacts("edge", bytes_on_disk=space_used(self._folder), changed=changed)

    def flush(self) -> None:
        """Write everything to disk."""
        with self._open() as shard:
            shard.flush()

    def optimize(self) -> None:
        """Merge segments and build the HNSW graph, if the disk has space for a second copy.

        Writes of other threads wait until it is done, about 30 seconds for 20,000 photos.
        """
        with self._open() as shard:
            if self._read_only is not None:
                return
            if shutil.disk_usage(self._folder).free > SPACE_KEPT + space_used(self._folder):
                shard.optimize()

    def close(self) -> None:
        """Flush, and release the folder."""
        if self._shard is not None:
            try:
                with self._open() as shard:
                    shard.flush()
                    count = shard.count(edge.CountRequest()) if self._changed else 0
                    shard.close()
                if self._changed and self._commit is not None:
                    self._commit(count)
            finally:
                self._shard = None

    @contextmanager
    def _open(self) -> Iterator["edge.EdgeShard"]:
        if self._shard is None:
            raise IndexingError(f"{self._where}: the index is closed")
        with _engine(self._where):
            yield self._shard

    def _update(self, operation: "edge.UpdateOperation") -> None:
        with self._open() as shard:
            if self._read_only is not None:
                raise ReadOnlyError(
                    f"{self._where}: the index cannot be changed, because {self._read_only}"
                )
            _require_space(self._folder, SPACE_KEPT)
            if not self._changed and self._commit is not None:
                self._commit(None)
            self._changed = True
            shard.update(operation)
            (self._folder / _CHANGED).touch()


def _quantized_search(exact: bool) -> "edge.QuantizationSearchParams":
    # Exact scores are needed, because the scores of the local level are added to them.
    return edge.QuantizationSearchParams(ignore=exact, rescore=True, oversampling=OVERSAMPLING)


def _check_widths(folder: Path, where: Path, expected: dict[str, int]) -> None:
    """Raise `BrokenError` if the vectors of a store have other widths; the engine itself would say
    so when it is searched."""
    try:
        config = parse_json((folder / "edge_config.json").read_bytes())
        found = {name: vectors["size"] for name, vectors in config["vectors"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # the engine reports it
    if found != {name: width for name, width in expected.items() if width}:
        raise BrokenError(where, f"its vectors have the widths {found} instead of {expected}")


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise IndexingError(
            f"{folder}: the disk is full ({free / 2**20:.0f} MB free, {needed / 2**20:.0f} MB "
            "required); free some space and try again, finished work is kept"
        )


@contextmanager
def _engine(folder: Path) -> Iterator[None]:
    """Turn exceptions and panics of the engine into errors that say what to do."""
    try:
        yield
    except (IndexingError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a Rust panic is not an Exception
        reason = str(error).strip()
        if "WouldBlock" in reason:
            raise InUseError(folder) from error
        if any(text in reason for text in ("No space left", "File too large", "quota")):
            message = f"cannot be written ({reason}); free some space and index again"
        elif isinstance(error, (OSError, MemoryError)) or any(text in reason for text in _REFUSED):
            message = f"cannot be used now ({reason or type(error).__name__})"
        else:
            raise BrokenError(folder, reason) from error
        raise IndexingError(f"{folder}: {message}") from error
