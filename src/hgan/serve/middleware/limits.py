"""Limits for each client: the rate of requests, the size of bodies, and the time."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hgan.serve.problems import problem
from hgan.serve.settings import Settings

CLIENTS = 10_000
"""Maximum number of clients that are tracked; the least recent ones are dropped."""
UNLIMITED = ("/health", "/ready", "/metrics")
"""Paths for operators; they have no rate limit."""
THUMBNAIL = 0.02
"""Cost of a thumbnail, in requests: the page loads dozens for each search."""
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
        self._buckets[client] = (tokens if wait else tokens - cost, now)
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)
        return wait


class LimitsMiddleware:
    """Rejects requests that exceed a limit, before their body is read."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Wrap an app."""
        self._app = app
        self._upload_bytes = settings.body_bytes
        self._json_bytes = min(settings.json_bytes, settings.body_bytes)
        self._max_uploads = settings.uploads
        self._uploads = 0
        self._seconds = settings.time_limit
        self._buckets = TokenBuckets(settings.rate) if settings.rate else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
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
            return await self._in_time(scope, _counted(receive, largest), send)
        if self._uploads >= self._max_uploads:
            busy = problem(
                503, "too many photos are being uploaded; try again", {"Retry-After": "1"}
            )
            return await busy(scope, receive, send)
        self._uploads += 1
        try:
            await self._in_time(scope, _counted(receive, largest), send)
        finally:
            self._uploads -= 1

    def _wait(self, scope: Scope) -> float:
        if self._buckets is None or _unlimited(scope["path"]):
            return 0.0
        client = scope.get("client")
        cost = THUMBNAIL if scope["path"].endswith("/thumbnail") else 1.0
        return self._buckets.take(client[0] if client else "", cost)

    async def _in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Limit the time until the response starts; sending it to a slow client may take longer."""
        started = False
        try:
            async with asyncio.timeout(self._seconds) as clock:

                async def answer(message: Message) -> None:
                    nonlocal started
                    if not started:
                        started = True
                        clock.reschedule(None)
                    await send(message)

                await self._app(scope, receive, answer)
        except TimeoutError:
            if started or not clock.expired():
                raise
            late = problem(
                504, f"the request took more than {self._seconds:g} seconds; request less"
            )
            await late(scope, receive, send)


def _counted(receive: Receive, largest: int) -> Receive:
    """Stop reading when a body of unknown length becomes too large."""
    read = 0

    async def counted() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > largest:
            raise HTTPException(413, _advice(largest))
        return message

    return counted


def _advice(largest: int) -> str:
    return f"the body is larger than the limit of {largest:,} bytes; send less"


def _unlimited(path: str) -> bool:
    """Whether a path has no rate limit, also under a prefix."""
    return path.endswith(("/", *UNLIMITED)) or PAGE in path
