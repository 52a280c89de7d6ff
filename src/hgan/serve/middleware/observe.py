"""For every request: an id, a line in the log, metrics, and a response to unexpected errors."""

import re
from time import perf_counter
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hgan.serve.logs import LOG, request_id
from hgan.serve.metrics import Metrics
from hgan.serve.middleware.origins import RESPONSE_HEADERS
from hgan.serve.problems import problem

HEADER = "X-Request-ID"
_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class ObserveMiddleware:
    """The outermost middleware of a service."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap an app."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get(HEADER, "")
        name = given if _VALID_ID.fullmatch(given) else uuid4().hex
        token = request_id.set(name)
        start = perf_counter()
        status = 0  # no response yet

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[HEADER] = name
                for key, value in RESPONSE_HEADERS.items():
                    headers.setdefault(key, value)
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception:
            LOG.exception("unexpected error")
            if status:  # too late for another response
                raise
            failure = problem(500, f"internal error; see the log of the service for {name}")
            await failure(scope, receive, answer)
        finally:
            self._note(scope, status, perf_counter() - start)
            request_id.reset(token)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        # Clients can send any method; a label for each would use up the memory.
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
        client = scope.get("client")
        LOG.info(
            "request",
            extra={
                "fields": {
                    "method": method,
                    "path": scope["path"][:200],
                    "route": route,
                    "status": status,
                    "milliseconds": round(1000 * seconds, 1),
                    "client": client[0] if client else None,
                }
            },
        )
