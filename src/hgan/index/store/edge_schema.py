"""How Qdrant Edge stores an index: its vectors, its indexed fields, and its filters."""

import qdrant_edge as edge

from hgan.index.store.contract import BUILD_BEAM, LINKS
from hgan.index.store.engine_filter import Dialect
from hgan.index.store.manifest import Quantize
from hgan.index.store.payload import BUCKET, COUNTED, GEO, RATING, TIME, WORDS

GRAPH_FROM = 20_000
"""Kilobytes of vectors in a segment (about 2,000 photos) from which an HNSW graph is built. Smaller
segments are searched exhaustively in about as much time as a graph takes; 10,000 photos would take
three times as much."""
FULL_SCAN = 10_000
"""Kilobytes of vectors below which the engine searches what a filter leaves exhaustively; its own
default."""


def config_of(dense: int, local: int, quantize: Quantize | None) -> "edge.EdgeConfig":
    """The configuration of a store for vectors of these widths."""
    # The threshold applies to the largest vectors, the local ones; int8 halves their size.
    threshold = GRAPH_FROM // 2 if quantize else GRAPH_FROM
    return edge.EdgeConfig(
        vectors=_vectors(dense, local, quantize),
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=threshold),
    )


def _vectors(
    dense: int, local: int, quantize: Quantize | None
) -> dict[str, "edge.EdgeVectorParams"]:
    # Inner product, not cosine: the weights of the levels are in the norms of dense vectors.
    distance = edge.Distance.Dot
    vectors = {}
    # 8 bits per number after a random rotation, with a scale for each vector. There is no second
    # copy in float16 for rescoring: it would take three times the disk, and as much memory again.
    datatype = edge.VectorStorageDatatype.Turbo8 if quantize else edge.VectorStorageDatatype.Float16
    if dense:
        vectors["dense"] = edge.EdgeVectorParams(
            dense,
            distance,
            datatype=datatype,
            memory=edge.Memory.Cached,
            hnsw_config=edge.HnswIndexConfig(
                m=LINKS, ef_construct=BUILD_BEAM, full_scan_threshold=FULL_SCAN
            ),
        )
    if local:
        vectors["local"] = edge.EdgeVectorParams(
            local,
            distance,
            datatype=datatype,
            # Five times as large as everything else, and only read for candidates.
            memory=edge.Memory.Cold,
            multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim),
            # No graph: local vectors are only used to re-rank candidates.
            hnsw_config=edge.HnswIndexConfig(
                m=0, ef_construct=BUILD_BEAM, full_scan_threshold=FULL_SCAN
            ),
        )
    return vectors


def index_payload(shard: "edge.EdgeShard") -> None:
    """Create payload indexes for the fields that filters use, unless they exist."""
    kinds = dict.fromkeys((*WORDS, *COUNTED), edge.PayloadSchemaType.Keyword)
    kinds[TIME] = kinds[RATING] = edge.PayloadSchemaType.Integer
    kinds[GEO] = edge.PayloadSchemaType.Geo
    indexed = shard.info().payload_schema
    for name, kind in kinds.items():
        if name not in indexed:
            shard.update(edge.UpdateOperation.create_field_index(name, kind))


DIALECT = Dialect(
    every=lambda parts: edge.Filter(must=parts),
    some=lambda parts: edge.Filter(should=parts),
    none=lambda parts: edge.Filter(must_not=parts),
    equals=lambda key, word: edge.FieldCondition(key=key, match=edge.MatchValue(value=word)),
    within=lambda key, bounds: edge.FieldCondition(key=key, range=edge.RangeFloat(**bounds)),
    around=lambda key, latitude, longitude, metres: edge.FieldCondition(
        key=key, geo_radius=edge.GeoRadius(edge.GeoPoint(longitude, latitude), metres)
    ),
    lacks=edge.IsEmptyCondition,
)


def in_buckets(buckets: range | None) -> "edge.Filter | None":
    """The points in these buckets, and those without a bucket."""
    if buckets is None:
        return None
    bounds = edge.RangeFloat(gte=float(buckets.start), lt=float(buckets.stop))
    inside = edge.FieldCondition(key=BUCKET, range=bounds)
    return edge.Filter(should=[inside, edge.IsEmptyCondition(BUCKET)])
