"""What a worker of a cluster does: read, encode and store one batch of photos after another."""

import pickle
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from hgan.errors import BundleError, ConfigError, DataError, HganError, IndexingError, SourceError
from hgan.index.distributed.attempts import MOST, REASON, Attempts, RemoteAttempts
from hgan.index.distributed.job import Job
from hgan.index.report import IndexReport
from hgan.index.store.contract import Point, id_of
from hgan.index.writer import IndexWriter
from hgan.runtime.video import file_of
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
    read again, but not encoded, since the index has vectors of the same bytes. See
    `hgan.index.distributed.attempts` for a photo that ends one worker after another.
    """

    def __init__(self, job: Job, attempts: Attempts | RemoteAttempts) -> None:
        """Open the model and the index."""
        job.take_place()
        self._job = job
        self._attempts = attempts
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
        name = f"batch of {photos[0].path}"
        again = self._attempts.begin(name) > 0
        try:
            report = self._index_each(photos) if again else self._index(photos)
            self._attempts.end(name)
        except HganError as error:
            # Errors with arguments of their own cannot be sent to another process.
            kind = next(kind for kind in _KINDS if isinstance(error, kind))
            raise kind(str(error)) from None
        return {"done": len(photos), "report": pickle.dumps(report)}

    def _index_each(self, photos: Sequence[Photo]) -> IndexReport:
        """Index photos one by one, after the worker that had them has ended."""
        report = IndexReport()
        for photo in photos:
            if self._attempts.begin(photo.path) >= MOST:
                report.skipped[file_of(photo.path)] = REASON
                continue
            part = self._index([photo])
            report.skipped.update(part.skipped)
            report.left_out.small |= part.left_out.small
            self._attempts.end(photo.path)
        return report

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
