"""A thread of the service that goes over to a new generation of the index, without downtime.

`hgan index --rebuild` fills the new generation while the service has the index open. In a folder,
the service then takes it into use itself, because it holds the lock; on a server, the other process
does, and the service notices. Requests that have begun are answered from the old generation, which
is closed after them. The thread also pauses changes while `hgan backup` copies the files.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import sleep

from hgan.errors import HganError
from hgan.index.rebuild_folder import next_generation, switch
from hgan.index.store.generations import is_ready, tidy
from hgan.index.store.open import read_manifest
from hgan.index.store.pause import is_asked, paused, wait_while_asked
from hgan.serve.library import Library, open_library
from hgan.serve.logs import LOG
from hgan.serve.service import Service

POLL = 1.0
"""Seconds between two looks at the index."""
_HANDED_OUT = 0.5
"""Seconds in which a request that was given the old library has entered a pool."""


@contextmanager
def renewing(service: Service) -> Iterator[None]:
    """Follow the generations of the served index while the block runs; events are logged."""
    stop = Event()
    thread = Thread(target=_run, args=(service, stop), name="renewal", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _run(service: Service, stop: Event) -> None:
    problem = ""
    while not stop.wait(POLL):
        try:
            _look(service, stop)
            problem = ""
        except (HganError, OSError) as error:  # the old generation is still served
            if str(error) != problem:
                problem = str(error)
                LOG.warning("the index cannot be renewed now", extra={"fields": {"why": problem}})


def _look(service: Service, stop: Event) -> None:
    library = service.library
    if isinstance(library.target, Path) and library.lock is not None:
        if is_ready(next_generation(library.target)):
            _switch(service, library, library.target)
            return
        if is_asked(library.target):
            _pause(library, library.target, stop)
    if read_manifest(library.target).generation != library.manifest.generation:
        _replace(service, library)
        _close(service, library)


def _switch(service: Service, library: Library, folder: Path) -> None:
    """Take the next generation into use, and serve it."""
    bundle = read_manifest(next_generation(folder)).load_bundle()  # before anything waits for it
    with library.writer.exclusive():
        switch(folder, library.entries(), bundle)
        library.writer.end()
        _replace(service, library)
    _close(service, library)


def _replace(service: Service, library: Library) -> None:
    """Serve the generation that is in use now instead of a library."""
    new = open_library(library.target, service.settings, service.metrics, lock=library.lock)
    library.writer.hand_over(new.writer)
    service.library = new
    library.replaced.set()
    LOG.info(
        "a new generation of the index is served",
        extra={"fields": {"model": new.index.bundle.name, "photos": len(new.index)}},
    )


def _close(service: Service, library: Library) -> None:
    """Close the library of an old generation after the requests that use it, and remove it."""
    sleep(_HANDED_OUT)
    service.texts.drain()
    service.photos.drain()
    library.index.close()
    if isinstance(library.target, Path) and library.lock is not None:
        tidy(library.target, service.library.manifest.generation)


def _pause(library: Library, folder: Path, stop: Event) -> None:
    with library.writer.exclusive():
        library.writer.flush()
        with paused(folder):
            wait_while_asked(folder, stop.is_set)
