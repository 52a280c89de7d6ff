"""The index that is served follows its folder: a thread of the service keeps it up to date."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from hgan.index.watcher import News, Watcher
from hgan.serve.library import Library
from hgan.serve.logs import LOG


@contextmanager
def following(library: Library) -> Iterator[None]:
    """Watch the folder of a library while the block runs; what is done is logged.

    Raises:
        ConfigError: the library for watching is not installed, or the photos are in no folder.
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


def _log(news: News) -> None:
    if news.report is None:
        LOG.warning("the folder cannot be followed now", extra={"fields": {"why": news.problem}})
        return
    report = news.report
    counts = {"added": report.added, "updated": report.updated, "removed": report.removed}
    LOG.info("the folder has changed", extra={"fields": counts | {"skipped": report.skipped}})
