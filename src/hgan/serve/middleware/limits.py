"""Limits for each client: the rate of requests, the size of bodies, and the time.

The rate counts the cost of a request, which is known in parts: a token when it arrives, and more
when its body has been read (`charge`). A client that was charged more than it has waits until the
debt is paid; see `TokenBuckets`.
"""

import asyncio
import math
import re
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from time import monotonic

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hgan.serve.middleware.paths import route_path
from hgan.serve.problems import problem
from hgan.serve.settings import Settings

CLIENTS = 10_000
"""Maximum number of clients that are tracked; the least recent ones are dropped."""
UNLIMITED = ("/", "/health", "/ready", "/metrics")
"""The page, and the paths for operators; they have no rate limit."""
THUMBNAIL = 0.02
"""Cost of a thumbnail or a part of a video, in requests: the page loads dozens for each search, and
a player asks for a part whenever its user seeks."""
_THUMBNAIL_PATH = re.compile(r"/v1/items/[^/]+/(thumbnail|video)")
RESULTS_OF_TOKEN = 1000
"""Queries x (`k` + `offset`) that cost as much as one request."""
BYTES_OF_TOKEN = 4 * 2**20
"""Bytes of a body that cost as much as one request."""
CHARGE = "hgan.charge"
"""Key of the function in the scope of a request that charges its client."""
PAGE = "/web/"
"""The files of the page have no rate limit: they are small, in memory, and loaded together."""


class TokenBuckets:
    """A token bucket for each client: a request takes one token or less."""

    def __init__(self, rate: float, clock: Callable[[], float] = monotonic) -> None:
        """Refill `rate` tokens per second, up to the tokens of two seconds, at least one."""
        self._rate = rate
        self._full = max(1.0, 2 * rate)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, cost: float = 1.0) -> float:
        """Take tokens and return 0; if there are too few, the seconds until there are enough."""
        now = self._clock()
        tokens, then = self._buckets.pop(client, (self._full, now))
        tokens = min(self._full, tokens + self._rate * (now - then))
        wait = 0.0 if tokens >= cost else (cost - tokens) / self._rate
        self._keep(client, tokens if wait else tokens - cost, now)
        return wait

    def charge(self, client: str, cost: float) -> None:
        """Take tokens for a request that was accepted; there may be fewer than none left."""
        tokens, then = self._buckets.get(client, (self._full, self._clock()))
        self._keep(client, tokens - cost, then)

    def _keep(self, client: str, tokens: float, then: float) -> None:
        self._buckets[client] = (tokens, then)
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)


def charge(scope: Scope, results: int) -> None:
    """Charge the client of a request for queries x (`k` + `offset`) results."""
    if CHARGE in scope:
        scope[CHARGE](results / RESULTS_OF_TOKEN)


class LimitsMiddleware:
    """Rejects requests that exceed a limit, before their body is read."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Wrap an app."""
        self._app = app
        self._upload_bytes = settings.body_bytes
        self._json_bytes = min(settings.json_bytes, settings.body_bytes)
        self._max_uploads = settings.uploads
        self._uploads = 0
        self._bodies_bytes = settings.bodies_bytes
        self._bytes = 0  # of the bodies of all present requests
        self._seconds = settings.time_limit
        self._buckets = TokenBuckets(settings.rate) if settings.rate else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if self._buckets is not None:
            scope[CHARGE] = partial(self._buckets.charge, _client(scope))
        if wait := self._wait(scope):
            refusal = problem(
                429, "too many requests; try again later", {"Retry-After": str(math.ceil(wait))}
            )
            return await refusal(scope, receive, send)
        headers = Headers(scope=scope)
        upload = headers.get("content-type", "").lower().startswith("multipart/")
        largest = self._upload_bytes if upload else self._json_bytes
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > largest:
            return await problem(413, _advice(largest))(scope, receive, send)
        if not upload:
            return await self._in_time(scope, receive, send, largest)
        if self._uploads >= self._max_uploads:
            busy = problem(
                503, "too many photos are being uploaded; try again", {"Retry-After": "1"}
            )
            return await busy(scope, receive, send)
        self._uploads += 1
        try:
            await self._in_time(scope, receive, send, largest)
        finally:
            self._uploads -= 1

    def _wait(self, scope: Scope) -> float:
        path = route_path(scope)
        if self._buckets is None or path in UNLIMITED or path.startswith(PAGE):
            return 0.0
        cost = THUMBNAIL if _THUMBNAIL_PATH.fullmatch(path) else 1.0
        return self._buckets.take(_client(scope), cost)

    async def _in_time(self, scope: Scope, receive: Receive, send: Send, largest: int) -> None:
        """Limit the time until the response starts; sending it to a slow client may take longer."""
        started = False
        body = _Body(self, receive, largest)
        try:
            async with asyncio.timeout(self._seconds) as clock:

                async def answer(message: Message) -> None:
                    nonlocal started
                    if not started:
                        started = True
                        if not clock.expired():  # a change that could not be stopped
                            clock.reschedule(None)
                    await send(message)

                await self._app(scope, body.receive, answer)
        except TimeoutError:
            if started or not clock.expired():
                raise
            late = problem(
                504, f"the request took more than {self._seconds:g} seconds; request less"
            )
            await late(scope, receive, send)
        finally:
            self._bytes -= body.read
            if CHARGE in scope:
                scope[CHARGE](body.read / BYTES_OF_TOKEN)

    def count(self, size: int) -> None:
        """Count bytes of a body that have arrived.

        Raises:
            HTTPException: 503, the bodies of all present requests are too large together.
        """
        if self._bytes + size > self._bodies_bytes:
            raise HTTPException(
                503, "too much data is being received; try again", {"Retry-After": "1"}
            )
        self._bytes += size


class _Body:
    """The body of a request, which is read only as far as it is allowed to be large."""

    def __init__(self, limits: LimitsMiddleware, receive: Receive, largest: int) -> None:
        self._limits = limits
        self._receive = receive
        self._largest = largest
        self.read = 0
        """Bytes that have arrived."""

    async def receive(self) -> Message:
        """The next message; see `LimitsMiddleware.count` for its errors."""
        message = await self._receive()
        size = len(message.get("body", b""))
        if self.read + size > self._largest:
            raise HTTPException(413, _advice(self._largest))
        self._limits.count(size)
        self.read += size
        return message


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _advice(largest: int) -> str:
    return f"the body is larger than the limit of {largest:,} bytes; send less"
