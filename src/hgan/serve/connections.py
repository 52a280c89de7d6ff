"""Connections with a timeout, and without delay: slow clients are disconnected, and small packets
are sent at once.

Uvicorn has no timeout for the head of a request, nor for the rest of a body after the response. A
few thousand clients that send one byte at a time would use up all sockets of the process. Between
the head and the response, the timeout of `hgan.serve.middleware.limits` applies.

A response is sent as a head and a body. Without TCP_NODELAY, the body waits until the client has
acknowledged the head, which takes 40 ms on a connection that is kept alive.
"""

import asyncio
import socket

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""Maximum seconds from the start of a connection, or from the end of a response, until the head of
the next request is complete. While nothing arrives, uvicorn's own shorter timeout applies."""


class Connection(H11Protocol):
    """The HTTP connection of one client."""

    _timeout: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout, and send packets without delay."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._start_timeout()

    def data_received(self, data: bytes) -> None:
        """Process data; the timeout stops as soon as there is a request to answer."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timeout()

    def on_response_complete(self) -> None:
        """Start the timeout for the next request."""
        self._start_timeout()
        super().on_response_complete()
        # A pipelined request may have been started already.
        if not self.cycle.response_complete:
            self._stop_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timeout."""
        self._stop_timeout()
        super().connection_lost(exc)

    def _start_timeout(self) -> None:
        self._stop_timeout()
        self._timeout = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None
