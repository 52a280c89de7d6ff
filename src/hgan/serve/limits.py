"""What one client may ask of a service: how often, how much, and for how long."""

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
"""Clients that are remembered, those who came last."""
UNLIMITED = ("/health", "/ready", "/metrics")
"""What operators ask for, as often as they like."""
PAGE = "/web/"
"""The page's own files, which are small, in memory, and loaded together."""


class Buckets:
    """A bucket of tokens for each client, refilled all the time; a request takes one."""

    def __init__(self, rate: float, clock: Callable[[], float] = monotonic) -> None:
        """Of `rate` tokens a second; a full one holds those of two seconds, at least one."""
        self._rate = rate
        self._full = max(1.0, 2 * rate)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Take a token; or, where there is none, seconds until there will be one."""
        now = self._clock()
        tokens, then = self._buckets.pop(client, (self._full, now))
        tokens = min(self._full, tokens + self._rate * (now - then))
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[client] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)
        return wait


class Limits:
    """A layer that refuses what is too much, before it is read."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Around an app."""
        self._app = app
        self._largest = settings.body_bytes
        self._seconds = settings.time_limit
        self._buckets = Buckets(settings.rate) if settings.rate else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if wait := self._wait(scope):
            refusal = problem(
                429, "too many requests; come back later", {"Retry-After": str(math.ceil(wait))}
            )
            return await refusal(scope, receive, send)
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._largest:
            return await self._too_large()(scope, receive, send)
        await self._in_time(scope, self._counted(receive), send)

    def _wait(self, scope: Scope) -> float:
        if self._buckets is None or _unlimited(scope["path"]):
            return 0.0
        client = scope.get("client")
        return self._buckets.take(client[0] if client else "")

    def _counted(self, receive: Receive) -> Receive:
        """Stop reading where a body that does not say its length turns out too large."""
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._largest:
                raise HTTPException(413, self._advice)
            return message

        return counted

    async def _in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reading a request and beginning to answer have a limit; a slow reader may take longer."""
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
            late = problem(504, f"it took more than {self._seconds:g} seconds; ask for less")
            await late(scope, receive, send)

    @property
    def _advice(self) -> str:
        return f"the body is larger than the {self._largest:,} bytes that are read; send less"

    def _too_large(self) -> ASGIApp:
        return problem(413, self._advice)


def _unlimited(path: str) -> bool:
    """Under a prefix too."""
    return path.endswith(("/", *UNLIMITED)) or PAGE in path
