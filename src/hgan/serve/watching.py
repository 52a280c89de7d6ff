"""A thread of the service that keeps the served index up to date with its folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from hgan.index.watcher import Watcher, WatchEvent
from hgan.serve.library import Library
from hgan.serve.logs import LOG


@contextmanager
def following(library: Library) -> Iterator[None]:
    """Watch the folder of a library while the block runs; events are logged.

    Raises:
        ConfigError: watchfiles is not installed, or the photos are not in a folder.
    """
    watcher: Watcher = library.watcher()
    stop = Event()
    thread = Thread(target=watcher.follow, args=(_log, stop), name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()  # a photo that is being encoded is stored before the index is closed


def _log(event: WatchEvent) -> None:
    if event.report is None:
        fields = {"why": event.problem}
        LOG.warning("the folder cannot be watched now", extra={"fields": fields})
        return
    report = event.report
    counts = {"added": report.added, "updated": report.updated, "removed": report.removed}
    LOG.info("the folder has changed", extra={"fields": counts | {"skipped": report.skipped}})
