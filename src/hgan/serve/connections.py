"""Connections that do not wait for ever: whoever is slow to say what it wants is hung up on.

Uvicorn waits for the head of a request as long as it takes, and after an answer reads the rest of a
body as long as it comes; a few thousand clients that send a byte now and then would take all of the
sockets that a process may have. Between the head and the answer,
`hgan.serve.middleware.limits` watches.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""From the connection, or from the end of an answer, until the head of the next request is whole;
between two requests, uvicorn's own shorter limit holds as long as nothing comes."""


class Connection(H11Protocol):
    """One client."""

    _alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Read on; the wait is over as soon as there is a request to be answered."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._rest()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._wait()
        super().on_response_complete()
        # A request that came in behind the last one may have begun already.
        if not self.cycle.response_complete:
            self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._rest()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._rest()
        self._alarm = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _rest(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
