"""The store on a Qdrant server, for more photos than fit on one machine, or for many readers."""

from collections.abc import Iterator, Sequence
from functools import partial
from time import monotonic
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

from hgan.errors import IndexingError
from hgan.index.conditions.filter import Filter
from hgan.index.store.aliases import check_no_alias
from hgan.index.store.contract import (
    BEAM,
    BUILD_BEAM,
    LINKS,
    OVERSAMPLING,
    Checked,
    Entry,
    Match,
    Point,
    Store,
    StoreFacts,
)
from hgan.index.store.engine_filter import Dialect, to_filter
from hgan.index.store.manifest import Quantize
from hgan.index.store.payload import (
    BUCKET,
    COUNTED,
    DAMAGED,
    GEO,
    RATING,
    TIME,
    WORDS,
    Widths,
    counted,
    most_frequent,
    to_entry,
    within,
)
from hgan.index.store.server import Server

_PAGE = 1000
"""Entries per request."""
_POINTS = 100
"""Points with their vectors per request."""
_CHECKED_FOR = 1.0
"""Seconds between two checks, before searches, that the collection has not been replaced."""


class QdrantStore(Store):
    """A collection; several processes may read and write at once."""

    def __init__(
        self, server: Server, dense: int, local: int, quantize: Quantize | None = None
    ) -> None:
        """Use the collection in the server's settings; `create_collection` creates it."""
        self._server = server
        self._name = server.collection
        self._widths = Widths(dense, local, quantize)
        self._checked = -_CHECKED_FOR

    def upsert(self, points: Sequence[Point]) -> None:
        """Add points, replacing those with the same ids."""
        if not points:
            return
        check_no_alias(self._server)
        named, payload = self._widths.named, self._widths.payload
        records = [
            models.PointStruct(id=p.entry.id, vector=named(p), payload=payload(p)) for p in points
        ]
        self._server.ask(lambda client: client.upsert(self._name, records, wait=True))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are ignored."""
        if ids:
            check_no_alias(self._server)
            chosen = models.PointIdsList(points=list(ids))
            self._server.ask(lambda client: client.delete(self._name, chosen, wait=True))

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
        if monotonic() - self._checked >= _CHECKED_FOR:
            check_no_alias(self._server)
            self._checked = monotonic()
        # Exact scores are needed, because the scores of the local level are added to them.
        quantized = models.QuantizationSearchParams(
            ignore=exact, rescore=True, oversampling=OVERSAMPLING
        )
        found = self._server.ask(
            lambda client: client.query_points(
                self._name,
                query=vector.tolist() if self._widths.dense else None,
                using="dense" if self._widths.dense else None,
                query_filter=to_filter(where, DIALECT),
                search_params=models.SearchParams(
                    hnsw_ef=max(BEAM, limit), exact=exact, quantization=quantized
                ),
                limit=limit,
                with_payload=False,
            )
        )
        # A model with only the local level has no dense vectors: all scores are equal.
        scored = self._widths.dense > 0
        return [Match(str(point.id), point.score if scored else 0.0) for point in found.points]

    def rescore(self, local: np.ndarray, ids: Sequence[str]) -> dict[str, float]:
        """MaxSim of a query's real words (w, D_l) and each of the points."""
        if not ids:
            return {}
        found = self._server.ask(
            lambda client: client.query_points(
                self._name,
                query=local.tolist(),
                using="local",
                query_filter=models.Filter(must=[models.HasIdCondition(has_id=list(ids))]),
                limit=len(ids),
                with_payload=False,
            )
        )
        return {str(point.id): point.score for point in found.points}

    def fetch(self, ids: Sequence[str], local: bool = False) -> list[Point]:
        """The points of these ids, in this order; unknown ids are left out."""
        if not ids:
            return []
        records = self._retrieve(ids, self._widths.names(local) or False)
        return self._widths.points(records, ids, self._server.settings, local)

    def entries(
        self, ids: Sequence[str] | None = None, buckets: range | None = None
    ) -> Iterator[Entry]:
        """The stored metadata of points, in any order; see `Store.entries`."""
        for start in range(0, len(ids or ()), _PAGE):
            records = self._retrieve(list(ids or ())[start : start + _PAGE], vectors=False)
            yield from (to_entry(record.payload) for record in records)
        if ids is not None:
            return
        offset: Any = None
        while True:
            page, offset = self._page(offset, where=_in_buckets(buckets))
            yield from within((to_entry(record.payload) for record in page), buckets)
            if offset is None:
                return

    def newest(
        self, limit: int, where: Filter | None = None, before: int | None = None
    ) -> list[Entry]:
        """The newest photos that have a time, the newest first."""
        bounds: list[models.Condition] = []
        if before is not None:
            bounds.append(models.FieldCondition(key=TIME, range=models.Range(lt=before)))
        order = models.OrderBy(key=TIME, direction=models.Direction.DESC)
        return self._scrolled(limit, where, bounds, order_by=order)

    def of_time(
        self, taken: int | None, limit: int, where: Filter | None = None, after: str | None = None
    ) -> list[Entry]:
        """The photos that were taken in this second, or those without a time, by their ids."""
        time: models.Condition
        if taken is None:
            time = models.IsEmptyCondition(is_empty=models.PayloadField(key=TIME))
        else:
            time = models.FieldCondition(key=TIME, match=models.MatchValue(value=taken))
        # An offset is the first id of a page, not the last one before it.
        found = self._scrolled(limit + (after is not None), where, [time], offset=after)
        return [entry for entry in found if entry.id != after][:limit]

    def _scrolled(
        self, limit: int, where: Filter | None, more: list[models.Condition], **options: Any
    ) -> list[Entry]:
        if limit <= 0:
            return []
        chosen = to_filter(where, DIALECT)
        must = [*([] if chosen is None else [chosen]), *more]
        found, _ = self._server.ask(
            lambda client: client.scroll(
                self._name,
                limit=limit,
                scroll_filter=models.Filter(must=must) if must else None,
                with_payload=True,
                **options,
            )
        )
        return [to_entry(record.payload) for record in found]

    def verify(self) -> Iterator[Checked]:
        """Read every point, and compare its vectors with their checksums."""
        offset: Any = None
        while True:
            page, offset = self._page(offset, _POINTS, vectors=True)
            yield from map(self._widths.checked, page)
            if offset is None:
                return

    def mark_damaged(self, ids: Sequence[str]) -> None:
        """Set `Entry.damaged` of points, until they are stored again."""
        if ids:
            check_no_alias(self._server)
            self._server.ask(
                lambda client: client.set_payload(self._name, DAMAGED, points=list(ids), wait=True)
            )

    def count(self, where: Filter | None = None) -> int:
        """The number of points, or of those that pass a filter."""
        chosen = to_filter(where, DIALECT)
        found = self._server.ask(lambda client: client.count(self._name, chosen, exact=True))
        return found.count

    def counts(self, field: str, limit: int) -> dict[str, int]:
        """The values of a payload field with their number of points, the most frequent first."""
        try:
            found = self._server.ask(
                lambda client: client.facet(self._name, field, limit=limit, exact=True)
            )
        except IndexingError:  # the field is not indexed, or the server fails: then this fails too
            return counted(self.entries(), field, limit)
        return most_frequent(((str(hit.value), hit.count) for hit in found.hits), limit)

    def facts(self) -> StoreFacts:
        """Shards and replicas of the collection, and whether it is being optimized."""
        info = self._server.ask(lambda client: client.get_collection(self._name))
        params = info.config.params
        return StoreFacts(
            "server",
            optimizing=info.status == models.CollectionStatus.YELLOW,
            shards=params.shard_number,
            replicas=params.replication_factor,
            write_consistency=params.write_consistency_factor,
        )

    def flush(self) -> None:
        """Does nothing: the server logs a change before `upsert` or `delete` returns."""

    def optimize(self) -> None:
        """Does nothing: servers optimize collections automatically."""

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    def _retrieve(self, ids: Sequence[str], vectors: list[str] | bool) -> list[models.Record]:
        return self._server.ask(
            lambda client: client.retrieve(self._name, list(ids), with_vectors=vectors)
        )

    def _page(
        self,
        offset: Any,
        limit: int = _PAGE,
        vectors: bool = False,
        where: models.Filter | None = None,
    ) -> tuple[list[models.Record], Any]:
        return self._server.ask(
            lambda client: client.scroll(
                self._name, where, limit, offset=offset, with_payload=True, with_vectors=vectors
            )
        )


def create_collection(
    server: Server, dense: int, local: int, quantize: Quantize | None, metadata: dict[str, Any]
) -> None:
    """Create the collection for vectors of these widths, unless it exists.

    Raises:
        IndexingError: the server cannot be reached, rejects the request, or is too old.
    """
    settings, name = server.settings, server.collection
    vectors = _vectors(dense, local, quantize)

    def create(client: QdrantClient) -> None:
        if client.collection_exists(name):
            return
        try:
            client.create_collection(
                name,
                vectors_config=vectors,
                shard_number=settings.shard_number,
                replication_factor=settings.replication_factor,
                write_consistency_factor=settings.write_consistency_factor,
                on_disk_payload=True,
                metadata=metadata,
                timeout=settings.timeout,
            )
        except Exception:
            # If several processes start at the same time, only one can create the collection.
            if not client.collection_exists(name):
                raise

    try:
        server.ask(create)
    except IndexingError as error:
        if models.Datatype.TURBO8 in str(error):  # a type that the server does not know
            raise IndexingError(
                f"{settings}: int8 needs Qdrant 1.20 or newer; update the server, or index without "
                "--quantize"
            ) from error
        raise


def index_payload(server: Server) -> None:
    """Create payload indexes for the fields that filters use, unless they exist."""
    kinds: dict[str, models.PayloadSchemaType | models.IntegerIndexParams] = {
        **dict.fromkeys((*WORDS, *COUNTED), models.PayloadSchemaType.KEYWORD),
        **dict.fromkeys((TIME, RATING), models.PayloadSchemaType.INTEGER),
        GEO: models.PayloadSchemaType.GEO,
        # Machines that index a part of the photos ask for a range of buckets, never for one.
        BUCKET: models.IntegerIndexParams(
            type=models.IntegerIndexType.INTEGER, lookup=False, range=True
        ),
    }
    name = server.collection
    indexed = server.ask(lambda client: client.get_collection(name)).payload_schema
    for field, kind in kinds.items():
        if field not in indexed:
            server.ask(partial(_index_field, name=name, field=field, kind=kind))


def _index_field(
    client: QdrantClient,
    name: str,
    field: str,
    kind: models.PayloadSchemaType | models.IntegerIndexParams,
) -> None:
    client.create_payload_index(name, field, field_schema=kind, wait=True)


def _vectors(dense: int, local: int, quantize: Quantize | None) -> dict[str, models.VectorParams]:
    # Inner product, not cosine: the weights of the levels are in the norms of dense vectors.
    distance = models.Distance.DOT
    # 8 bits per number after a random rotation, with a scale for each vector; see `edge`.
    datatype = models.Datatype.TURBO8 if quantize else models.Datatype.FLOAT16
    vectors = {}
    if dense:
        vectors["dense"] = models.VectorParams(
            size=dense,
            distance=distance,
            datatype=datatype,
            on_disk=False,
            hnsw_config=models.HnswConfigDiff(m=LINKS, ef_construct=BUILD_BEAM),
        )
    if local:
        vectors["local"] = models.VectorParams(
            size=local,
            distance=distance,
            datatype=datatype,
            on_disk=True,
            multivector_config=models.MultiVectorConfig(
                comparator=models.MultiVectorComparator.MAX_SIM
            ),
            # No graph: local vectors are only used to re-rank candidates.
            hnsw_config=models.HnswConfigDiff(m=0),
        )
    return vectors


DIALECT = Dialect(
    every=lambda parts: models.Filter(must=parts),
    some=lambda parts: models.Filter(should=parts),
    none=lambda parts: models.Filter(must_not=parts),
    equals=lambda key, word: models.FieldCondition(key=key, match=models.MatchValue(value=word)),
    within=lambda key, bounds: models.FieldCondition(key=key, range=models.Range(**bounds)),
    around=lambda key, latitude, longitude, metres: models.FieldCondition(
        key=key,
        geo_radius=models.GeoRadius(
            center=models.GeoPoint(lat=latitude, lon=longitude), radius=metres
        ),
    ),
    lacks=lambda key: models.IsEmptyCondition(is_empty=models.PayloadField(key=key)),
)


def _in_buckets(buckets: range | None) -> models.Filter | None:
    """The points in these buckets, and those without a bucket."""
    if buckets is None:
        return None
    bounds = models.Range(gte=buckets.start, lt=buckets.stop)
    return models.Filter(
        should=[
            models.FieldCondition(key=BUCKET, range=bounds),
            models.IsEmptyCondition(is_empty=models.PayloadField(key=BUCKET)),
        ]
    )
