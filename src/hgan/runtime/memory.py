"""The memory for decoding photos: one budget in bytes for all threads of the process.

A thread that decodes a photo reserves the bytes that it needs, and waits until they are free.
Afterwards, the memory is returned to the system: the C library would keep most of it.
"""

import ctypes
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Condition

PHOTO_BYTES = 380 * 10**6
"""Maximum number of bytes for one photo: its file, its decoded pixels, and working copies."""
BUDGET_BYTES = 2 * PHOTO_BYTES
"""Maximum number of bytes for all photos that the process decodes at the same time."""
_M_ARENA_MAX = -8
"""The number of `mallopt`'s setting of the maximum number of heaps."""
_RETURNED_FROM = 32 * 10**6
"""Reservations of at least this size are returned to the system, which takes milliseconds."""


class ByteBudget:
    """A number of bytes that threads share; they are served in the order in which they ask."""

    def __init__(self, total: int) -> None:
        """Share `total` bytes."""
        self.total = total
        self._used = 0
        self._waiting: deque[object] = deque()
        self._changed = Condition()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Reserve bytes while the block runs; waits until they are free.

        A thread that has a reservation must not ask for another one: two such threads could wait
        for each other.

        Args:
            size: number of bytes; more than `total` counts as `total`.
        """
        size = min(size, self.total)
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(
                    lambda: self._waiting[0] is ticket and self._used + size <= self.total
                )
                self._used += size
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            if size >= _RETURNED_FROM:
                return_memory()
            with self._changed:
                self._used -= size
                self._changed.notify_all()


DECODING = ByteBudget(BUDGET_BYTES)
"""The budget of this process."""


def share_heaps() -> None:
    """Let all threads of the process share two heaps, where the C library allows it (glibc).

    By default, a process has up to eight heaps for each processor. Memory that is free in one of
    them cannot be used by the threads of another, so a service that answers in many threads would
    grow for a long time.
    """
    if change := _function("mallopt"):
        change(_M_ARENA_MAX, 2)


def return_memory() -> None:
    """Return unused memory of the C library to the system, where the library can (glibc)."""
    if trim := _function("malloc_trim"):
        trim(0)


@cache
def _function(name: str) -> Callable[..., int] | None:
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # not glibc; Windows
        return None
