"""Stop the work for a request whose response has been sent, such as after a timeout (504).

A thread cannot be interrupted, so the work asks at points where stopping is safe: between the
queries of a batch, and before the index is changed. Once a change has begun, the work is no longer
stopped, and its request waits for the result: a change that was answered with an error has not
happened.
"""

from contextvars import ContextVar
from threading import Lock

from hgan.errors import HganError


class StoppedError(HganError):
    """Nobody waits for the result of this work any more."""


class Stop:
    """The state of the work for one request; it is either stopped or changes something."""

    def __init__(self) -> None:
        """The work runs, and has not changed anything."""
        self._deciding = Lock()
        self._changes = False
        self._stopped = False

    def stop(self) -> bool:
        """Stop the work; returns False if it has begun a change, and cannot be stopped."""
        with self._deciding:
            self._stopped = not self._changes
            return self._stopped

    def check(self, change: bool = False) -> None:
        """Raise `StoppedError` if the work is stopped; otherwise, it may begin a change."""
        with self._deciding:
            if self._stopped:
                raise StoppedError("the request has been answered; its work is stopped")
            self._changes |= change


_stop: ContextVar[Stop | None] = ContextVar("stop", default=None)


def new_stop() -> Stop:
    """What stops the work of the current context."""
    stop = Stop()
    _stop.set(stop)
    return stop


def stop_if_unwanted() -> None:
    """Raise `StoppedError` if the request of the current context has been answered."""
    if stop := _stop.get():
        stop.check()


def begin_change() -> None:
    """Raise `StoppedError` if the request of the current context has been answered; otherwise, it
    waits for the result from now on, whatever its time limit is."""
    if stop := _stop.get():
        stop.check(change=True)
