"""A thread of the service that keeps the served index up to date with its folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from hgan.index.store.contract import ReplacedError
from hgan.index.watcher import WatchEvent
from hgan.serve.logs import LOG
from hgan.serve.service import Service

_REOPENED = 1.0
"""Seconds to wait for the new generation of an index, before the folder is looked at again."""


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
        try:
            library.watcher().follow(_log, library.replaced)
        except ReplacedError:  # the watcher of the new generation makes the change
            library.replaced.wait(_REOPENED)


def _log(event: WatchEvent) -> None:
    if event.report is None:
        fields = {"why": event.problem}
        LOG.warning("the folder cannot be watched now", extra={"fields": fields})
        return
    report = event.report
    counts = {"added": report.added, "updated": report.updated, "removed": report.removed}
    LOG.info("the folder has changed", extra={"fields": counts | {"skipped": report.skipped}})
