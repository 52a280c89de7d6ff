"""The claim of the process that fills a new generation on a server, which has no locks.

The claim is in the metadata of the new collection. Its owner renews it every few seconds. A claim
that is not renewed any more, or whose owner is a process of this machine that has ended, is taken
over. Two processes that claim at the same time write one after the other, and the last one wins:
each reads its claim again before it begins.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from hgan.errors import IndexingError
from hgan.files import is_abandoned, owner
from hgan.index.store.aliases import has_collection, metadata_of, set_metadata
from hgan.index.store.server import Server

_KEY = "hgan_rebuild"
BEAT = 5.0
"""Seconds between two renewals."""
_MISSED = 4
"""Number of renewals without which a claim is taken over."""
_SETTLE = 1.0
"""Seconds after which a claim has been overwritten by that of a process that read at the same time;
longer than a request takes."""


@contextmanager
def claimed(
    server: Server, name: str, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Callable[[], None]]:
    """Claim a collection while the block runs.

    Args:
        server: a connection of its own.
        name: the collection.
        sleep: waits for a number of seconds.

    Yields:
        A function that raises `IndexingError` if another process has taken over the claim.

    Raises:
        IndexingError: another process has claimed it.
    """
    if _is_alive(server, name, sleep):
        raise _refusal(server)
    token = uuid4().hex
    _write(server, name, token, 0)
    sleep(_SETTLE)

    def check() -> None:
        if _read(server, name).get("token") != token:
            raise _refusal(server)

    check()
    stop = Event()
    thread = Thread(target=_renew, args=(server, name, token, stop), daemon=True)
    thread.start()
    try:
        yield check
    finally:
        stop.set()
        thread.join()
        if has_collection(server, name) and _read(server, name).get("token") == token:
            set_metadata(server, name, {_KEY: None})


def _is_alive(server: Server, name: str, sleep: Callable[[float], None]) -> bool:
    """Whether a process fills the collection now."""
    claim = _read(server, name)
    if not claim:
        return False
    if is_abandoned(str(claim.get("owner")), float(claim.get("time", 0))):
        return False
    for _ in range(_MISSED):
        sleep(BEAT)
        now = _read(server, name)
        if now != claim:
            return bool(now)
    return False


def _renew(server: Server, name: str, token: str, stop: Event) -> None:
    beat = 0
    while not stop.wait(BEAT):
        beat += 1
        try:
            if _read(server, name).get("token") == token:
                _write(server, name, token, beat)
        except IndexingError:  # the server does not answer now; the process that fills waits, too
            continue


def _read(server: Server, name: str) -> dict[str, Any]:
    found = metadata_of(server, name).get(_KEY)
    return found if isinstance(found, dict) else {}


def _write(server: Server, name: str, token: str, beat: int) -> None:
    claim = {"owner": owner(), "time": time.time(), "token": token, "beat": beat}
    set_metadata(server, name, {_KEY: claim})


def _refusal(server: Server) -> IndexingError:
    return IndexingError(
        f"{server.settings}: another process is rebuilding this index; wait until it ends, or stop "
        "it"
    )
