"""What a worker of a cluster does: read, encode and store one batch of photos after another."""

import pickle
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from hgan.errors import BundleError, ConfigError, DataError, HganError, IndexingError, SourceError
from hgan.index.distributed.job import Job
from hgan.index.report import IndexReport
from hgan.index.store.contract import Point, id_of
from hgan.index.writer import IndexWriter
from hgan.sources.types import Photo

UPSERT = 64
"""Number of points of a request to the server."""
CONNECTIONS = 2
"""Number of requests that a worker has under way; it encodes meanwhile."""

_KINDS = (SourceError, BundleError, DataError, ConfigError, IndexingError, HganError)


class Worker:
    """One process of a cluster, with one session of the image network, and its own connection.

    Ray calls it with a batch after another. A batch that was lost with its machine is given to
    another worker, and so is one whose result was lost: photos that the first one has stored are
    read again, but not encoded, since the index has vectors of the same bytes.
    """

    def __init__(self, job: Job) -> None:
        """Open the model and the index."""
        job.take_place()
        self._job = job
        self._source = job.open_source()
        self._bundle = job.load_bundle()
        self._opening = job.open_store()
        self._store = self._opening.__enter__()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Index a batch.

        Args:
            row: `photos`, a pickled list of them.

        Returns:
            `done`, their number, and `report`, pickled: those that cannot be read. All others are
            stored.

        Raises:
            HganError: the index cannot be written, or the photos cannot be reached.
        """
        photos: list[Photo] = pickle.loads(row["photos"])
        try:
            report = self._index(photos)
        except HganError as error:
            # Errors with arguments of their own cannot be sent to another process.
            kind = next(kind for kind in _KINDS if isinstance(error, kind))
            raise kind(str(error)) from None
        return {"done": len(photos), "report": pickle.dumps(report)}

    def _index(self, photos: Sequence[Photo]) -> IndexReport:
        report, counts = IndexReport(), IndexReport()
        stored = list(self._store.entries([id_of(photo.path) for photo in photos]))
        writer = IndexWriter(self._source, self._store, self._bundle, stored=stored)

        def put(points: list[Point]) -> None:
            writer.put(points, 0, self._job.moved, counts)  # the driver counts what is stored

        with ThreadPoolExecutor(CONNECTIONS, "upsert") as pool:
            waiting: list[Future[None]] = []
            points: list[Point] = []
            for encoded, _ in writer.encode(photos, report):
                points += encoded
                if len(points) >= UPSERT:
                    waiting.append(pool.submit(put, points))
                    points = []
            waiting.append(pool.submit(put, points))
            for future in waiting:
                future.result()
        return report
