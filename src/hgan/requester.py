"""Requests to a service that is not trusted: bounded in time and size, and never redirected.

httpx bounds the time of each read, but not of a request as a whole: a server that sends one byte at
a time could hold a caller for ever. The requests therefore run in an event loop of their own
thread, where `asyncio.timeout` bounds everything: the look-up of the name, the connection, the
request and the response. Connections are kept open between requests.
"""

import asyncio
import threading
import weakref
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import httpx

from hgan.errors import DataError, HganError, IndexingError
from hgan.files import parse_json

MOST_BYTES = 32 * 2**20
"""Maximum size of a response. The largest regular one, 32 queries of 200 hits, has 3 MB."""
LONGEST_DETAIL = 1000
"""Maximum length of an error message of the service, in characters."""
KEEP_OPEN = 2.0
"""Seconds that an unused connection is kept open, less than services do."""

Answer = TypeVar("Answer")


class Requester:
    """Sends requests to one service; all methods are thread-safe."""

    def __init__(self, url: str, key: str | None, timeout: float) -> None:
        """Create a requester; no request is sent yet.

        Args:
            url: URL of the service.
            key: sent in the header X-API-Key, if given.
            timeout: seconds for a whole request, with its response.

        Raises:
            DataError: the URL is not an HTTP address, or the key cannot be sent in a header.
        """
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, TypeError, UnicodeError) as error:
            raise DataError(f"{url!r} is not an address ({error})") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise DataError(f"{url!r} is not an address; write one such as http://127.0.0.1:8000")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise DataError("the key has characters that are not allowed in an HTTP header")
        self.url = url.rstrip("/")
        self._key = key
        self._timeout = timeout
        self._starting = threading.Lock()
        self._loop: _Loop | None = None
        self._client: httpx.AsyncClient | None = None

    def ask(self, method: str, path: str, body: bytes | None = None, media_type: str = "") -> bytes:
        """Send a request, and return the JSON of the response, which is not parsed.

        Raises:
            DataError: the service rejects the request.
            IndexingError: the service does not answer in time, redirects, is too busy, or its
                response is too large.
        """
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if media_type:
            headers["Content-Type"] = media_type
        if self._key is not None:
            headers["X-API-Key"] = self._key
        try:
            return self._opened().run(self._ask(method, path, body, headers))
        except TimeoutError as error:
            raise IndexingError(
                f"{self.url}: the service does not answer within {self._timeout:g} seconds"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise IndexingError(
                f"{self.url}: the service does not answer ({error or type(error).__name__}); is it "
                "running there?"
            ) from error

    def close(self) -> None:
        """Close the connections; another request opens them again."""
        with self._starting:
            loop, client, self._loop, self._client = self._loop, self._client, None, None
        if loop is not None and client is not None:
            loop.run(client.aclose())
            loop.close()

    def _opened(self) -> "_Loop":
        with self._starting:
            if self._loop is None:
                self._client = httpx.AsyncClient(
                    follow_redirects=False,
                    timeout=self._timeout,
                    limits=httpx.Limits(keepalive_expiry=KEEP_OPEN),
                )
                self._loop = _Loop()
            return self._loop

    async def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> bytes:
        assert self._client is not None
        async with (
            asyncio.timeout(self._timeout),
            self._client.stream(method, self.url + path, content=body, headers=headers) as response,
        ):
            if response.is_redirect:
                target = response.headers.get("location", "")[:200]
                raise IndexingError(
                    f"{self.url}: redirects to {target!r}; requests are not sent to another "
                    "address, since they may contain a key; pass that address if you trust it"
                )
            content = await self._read(response)
        if response.is_success:
            return content
        raise self._refusal(response, content)

    async def _read(self, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise IndexingError(f"{self.url}: the response is compressed, which was not requested")
        content = bytearray()
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > MOST_BYTES:
                raise IndexingError(
                    f"{self.url}: the response is larger than {MOST_BYTES // 2**20} MB; request "
                    "less"
                )
        return bytes(content)

    def _refusal(self, response: httpx.Response, content: bytes) -> HganError:
        detail: object = None
        with suppress(ValueError, KeyError, TypeError):
            detail = parse_json(content)["detail"]
        if not isinstance(detail, str):
            detail = response.reason_phrase
        shown = detail[:LONGEST_DETAIL].encode("unicode_escape").decode()
        status = response.status_code
        kind = DataError if 400 <= status < 500 and status != 429 else IndexingError
        return kind(f"{self.url}: {shown} (status {status})")


class _Loop:
    """An event loop in a thread that does not keep the program from ending."""

    def __init__(self) -> None:
        loop = asyncio.new_event_loop()
        self._loop = loop
        self._thread = threading.Thread(
            target=_run_forever, args=(loop,), name="hgan-requests", daemon=True
        )
        self._thread.start()
        self._stop = weakref.finalize(self, loop.call_soon_threadsafe, loop.stop)

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """The result of a coroutine; it is cancelled if the caller is interrupted."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Stop the thread."""
        self._stop()
        self._thread.join()


def _run_forever(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
