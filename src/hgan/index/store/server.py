"""The connection to a Qdrant server: address, settings, and retries when it does not answer.

    http://qdrant:6333/photos?shard_number=3&replication_factor=2

is the collection `photos`, with two settings. With `https` the connection is encrypted;
$SSL_CERT_FILE can be set to a certificate to trust instead of the default ones. If the server
requires an API key, it is read from $HGAN_QDRANT_API_KEY.

If the server does not answer, a search fails after a few attempts. Indexing, which may have run for
hours, waits for up to `patience` seconds and then continues.
"""

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Self, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from httpx import TransportError
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from hgan.errors import ConfigError, IndexingError
from hgan.index.store.contract import ReplacedError

API_KEY = "HGAN_QDRANT_API_KEY"
"""The environment variable with the server's key."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Maximum number of seconds before the second attempt, and before any later attempt."""

_BUSY = (408, 429, 500, 502, 503, 504)
"""HTTP status codes of temporary errors. Qdrant answers 500 while one of its nodes is down. It is
safe to repeat a request, because every point is written under a fixed id."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class ServerSettings:
    """A collection on a server. The settings have the same names as in Qdrant's documentation."""

    url: str
    """URL of the server, without the collection."""
    collection: str
    api_key: str | None = field(default=None, repr=False)
    timeout: int = 30
    """Seconds to wait for an answer."""
    attempts: int = 5
    """Maximum number of attempts for a request while the server is busy or cannot be reached."""
    patience: int = 300
    """Maximum number of seconds that indexing waits for a server that has answered before; it is
    independent of `attempts`."""
    shard_number: int | None = None
    """Number of shards of a new collection, distributed over the machines of a cluster; None for
    the server's default."""
    replication_factor: int | None = None
    """Number of replicas of each shard."""
    write_consistency_factor: int | None = None
    """Number of replicas that must confirm a write."""

    @classmethod
    def parse(cls, address: str) -> Self:
        """Parse an address; see the top of this module for the format.

        Raises:
            ConfigError: the address has no collection, or a setting is not valid.
        """
        parts = urlsplit(address)
        if parts.password or parts.username:  # not shown: it may be a key
            raise ConfigError(
                f"{parts.hostname}: an address must not contain a user name or key, because it is "
                f"printed and stored; put the key into ${API_KEY}"
            )
        prefix, _, collection = parts.path.rpartition("/")
        if not parts.hostname or not collection:
            raise ConfigError(
                f"{address}: has no collection; write its name after the server, such as "
                "http://qdrant:6333/photos"
            )
        return cls(
            url=f"{parts.scheme}://{parts.netloc}{prefix}",
            collection=unquote(collection),
            api_key=os.environ.get(API_KEY) or None,
            **_numbers(address, parts.query),
        )

    def __str__(self) -> str:
        return f"{self.url}/{self.collection}"


def _numbers(address: str, query: str) -> dict[str, int]:
    known = [f.name for f in fields(ServerSettings)][3:]
    found = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise ConfigError(f"{address}: unknown setting {name!r}; known are {', '.join(known)}")
        if not value.isdecimal() or int(value) < 1:
            raise ConfigError(f"{address}: {name} must be an integer above 0, not {value!r}")
        found[name] = int(value)
    return found


def connect(settings: ServerSettings) -> QdrantClient:
    """A client for the server; the first request shows whether the server answers."""
    return QdrantClient(
        url=settings.url,
        api_key=settings.api_key,
        timeout=settings.timeout,
        check_compatibility=False,  # it would send a request from a thread, and print warnings
    )


class Server:
    """A connection that retries requests, and whose errors say what to do."""

    def __init__(
        self,
        settings: ServerSettings,
        client: QdrantClient | None = None,
        sleep: Callable[[float], None] = time.sleep,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        """Create a connection.

        Args:
            settings: address and settings of the server.
            client: the client to use; by default a new one.
            sleep: waits for a number of seconds.
            waiting: called with a message each time this starts to wait for the server; if it is
                None, a request fails after `attempts`.
        """
        self.settings = settings
        self.collection = settings.collection
        """The collection that requests use; see `hgan.index.store.aliases`."""
        self._client: QdrantClient | None = client or connect(settings)
        self._sleep = sleep
        self._waiting = waiting
        self._has_answered = False

    def ask(self, request: Callable[[QdrantClient], Answer]) -> Answer:
        """Call `request` with the client, and repeat it if the server is busy or does not answer.

        Raises:
            IndexingError: the server cannot be reached, or rejects the request.
        """
        tried, waited = 0, 0.0
        while True:
            if self._client is None:
                raise IndexingError(f"{self.settings}: the index is closed")
            asked = time.monotonic()
            try:
                answer = request(self._client)
            except Exception as error:  # the client has no base class for its errors
                tried += 1
                waited += time.monotonic() - asked
                if not _is_temporary(error):
                    if self.collection != self.settings.collection and _status(error) == 404:
                        raise ReplacedError(self.settings) from error
                    raise IndexingError(f"{self.settings}: {self._advice(error, tried)}") from error
                if tried >= self.settings.attempts:
                    self._allow_retry(error, tried, waited)
                pause = _pause(error, tried)
                self._sleep(pause)
                waited += pause
            else:
                self._has_answered = True
                return answer

    def _allow_retry(self, error: Exception, tried: int, waited: float) -> None:
        """Allow one more attempt, or raise `IndexingError`."""
        # A server that never answered probably has another address.
        may_wait = self._waiting is not None and self._has_answered
        if not may_wait or waited >= self.settings.patience:
            raise IndexingError(f"{self.settings}: {self._advice(error, tried)}") from error
        if self._waiting is not None and tried == self.settings.attempts:
            self._waiting(
                f"{self.settings}: {self._state(error, tried)}; waiting for it, up to "
                f"{self.settings.patience} seconds"
            )

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            client, self._client = self._client, None
            client.close()

    def _advice(self, error: Exception, tried: int) -> str:
        if isinstance(error, ResponseHandlingException) and _is_temporary(error):
            return f"{self._state(error, tried)}; is it running at {self.settings.url}?"
        if _is_temporary(error):
            return f"{self._state(error, tried)}; try again later"
        status = _status(error)
        if status in (401, 403):
            return f"access denied ({_reason(error)}); set ${API_KEY} to a key with write access"
        if status == 404:
            return f"no index here; create one with `hgan index PHOTOS --to {self.settings}`"
        return f"the server rejects the request ({_reason(error)})"

    def _state(self, error: Exception, tried: int) -> str:
        """Describe a temporary error of the server."""
        if isinstance(error, ResponseHandlingException):
            return f"the server does not answer ({error.source}) after {tried} attempts"
        return f"the server is busy or has failed ({_reason(error)})"


def _is_temporary(error: Exception) -> bool:
    if isinstance(error, ResponseHandlingException):
        return isinstance(error.source, TransportError)
    if isinstance(error, UnexpectedResponse):
        return error.status_code in _BUSY
    return isinstance(error, ResourceExhaustedResponse)


def _status(error: Exception) -> int | None:
    return error.status_code if isinstance(error, UnexpectedResponse) else None


def _pause(error: Exception, tried: int) -> float:
    """Seconds until the next attempt: as the server requests, or random up to a growing limit."""
    if isinstance(error, ResourceExhaustedResponse):
        return min(float(error.retry_after_s), LONGEST_PAUSE)
    # Random, so that many clients of one server do not all retry at the same time.
    return random.uniform(0.0, min(FIRST_PAUSE * 2 ** (tried - 1), LONGEST_PAUSE))


def _reason(error: Exception) -> str:
    """The message of an error, on one line."""
    if isinstance(error, UnexpectedResponse):
        try:
            detail = error.structured()["status"]["error"]
        except (ValueError, KeyError, TypeError):
            detail = error.content.decode("utf-8", "replace")[:200]
        return " ".join(f"{error.status_code} {error.reason_phrase}: {detail}".split())
    return " ".join(str(error).split()) or type(error).__name__
