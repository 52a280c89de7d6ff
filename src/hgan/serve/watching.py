"""A thread of the service that keeps the served index up to date with its folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread

from hgan.index.watcher import WatchEvent
from hgan.serve.library import Library
from hgan.serve.logs import LOG
from hgan.serve.service import Service


@contextmanager
def following(service: Service) -> Iterator[None]:
    """Watch the folder of the served index while the block runs; events are logged.

    Raises:
        ConfigError: watchfiles is not installed, or the photos are not in a folder.
    """
    service.library.watcher()  # raises before a thread is started
    stop = Event()
    thread = Thread(target=_follow, args=(service, stop), name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        service.library.replaced.set()
        thread.join()  # a photo that is being encoded is stored before the index is closed


def _follow(service: Service, stop: Event) -> None:
    """Watch for each generation of the index until it is replaced."""
    while not stop.is_set():
        library = service.library
        library.watcher().follow(partial(_log, library), library.replaced)


def _log(library: Library, event: WatchEvent) -> None:
    if library.replaced.is_set():
        return  # its writer refuses changes; the watcher of the new generation makes them
    if event.report is None:
        fields = {"why": event.problem}
        LOG.warning("the folder cannot be watched now", extra={"fields": fields})
        return
    report = event.report
    counts = {"added": report.added, "updated": report.updated, "removed": report.removed}
    LOG.info("the folder has changed", extra={"fields": counts | {"skipped": report.skipped}})
