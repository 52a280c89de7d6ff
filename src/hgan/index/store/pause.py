"""Pause the changes of an index that a service has open, so that its files can be copied.

INDEX/pause     locked by who asks for the pause, for as long as it is needed
INDEX/paused    locked by the service while it changes nothing

Both are locks of the operating system, so a process that is killed neither asks nor pauses any
more.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from hgan.errors import IndexingError
from hgan.files import is_locked, lock_file

_POLL = 0.05
"""Seconds between two looks at a lock."""


def is_asked(index: Path) -> bool:
    """Whether a process asks for a pause."""
    return is_locked(index / "pause")


@contextmanager
def paused(index: Path) -> Iterator[None]:
    """Tell the process that asks for a pause that nothing is changed while the block runs."""
    with lock_file(index / "paused", wait=1.0):
        yield


def is_paused(index: Path) -> bool:
    """Whether a service pauses."""
    return is_locked(index / "paused")


@contextmanager
def pause(index: Path, wait: float) -> Iterator[bool]:
    """Ask the service that has an index open for a pause, until the block ends.

    Args:
        index: the folder of the index.
        wait: seconds to wait for the pause.

    Yields:
        Whether the service pauses.

    Raises:
        IndexingError: another process asks for a pause.
    """
    try:
        file = lock_file(index / "pause", wait=1.0)
    except BlockingIOError as error:
        raise IndexingError(
            f"{index}: another process makes a backup of this index; wait until it ends"
        ) from error
    with file:
        deadline = monotonic() + wait
        while not (pauses := is_paused(index)) and monotonic() < deadline:
            sleep(_POLL)
        yield pauses


def wait_while_asked(index: Path, stopped: Callable[[], bool]) -> None:
    """Wait until no process asks for a pause any more."""
    while is_asked(index) and not stopped():
        sleep(_POLL)
