"""Stop the work for a request whose response has been sent, such as after a timeout (504).

A thread cannot be interrupted, so the work asks at points where stopping is safe: between the
queries of a batch, and before an upload is written.
"""

from contextvars import ContextVar
from threading import Event

from hgan.errors import HganError

_stop: ContextVar[Event | None] = ContextVar("stop", default=None)


class StoppedError(HganError):
    """Nobody waits for the result of this work any more."""


def new_stop() -> Event:
    """An event that stops the work of the current context, once it is set."""
    stop = Event()
    _stop.set(stop)
    return stop


def stop_if_unwanted() -> None:
    """Raise `StoppedError` if the request of the current context has been answered."""
    stop = _stop.get()
    if stop is not None and stop.is_set():
        raise StoppedError("the request has been answered; its work is stopped")
