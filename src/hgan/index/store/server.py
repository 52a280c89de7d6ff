"""A Qdrant server: its address, its settings, and what to do when it does not answer.

    http://qdrant:6333/photos?shard_number=3&replication_factor=2

names the collection `photos` with settings; `https` encrypts, and $SSL_CERT_FILE may name a
certificate to trust instead of the usual ones. If the server requires a key, it is read from
$HGAN_QDRANT_API_KEY.

If the server does not answer, a search fails soon. Indexing, which may have run for hours, waits
and continues: `patience` says how long.
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

API_KEY = "HGAN_QDRANT_API_KEY"
"""The environment variable with the server's key."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before the second attempt, at most, and before any other."""

_BUSY = (408, 429, 500, 502, 503, 504)
"""HTTP status codes of temporary errors. Qdrant answers 500 while one of its nodes is away. Sending
a request twice does no harm, since everything is written under its own id."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class ServerSettings:
    """A collection on a server. The settings have the names of Qdrant's documentation."""

    url: str
    """Of the server, without the collection."""
    collection: str
    api_key: str | None = field(default=None, repr=False)
    timeout: int = 30
    """Seconds to wait for an answer."""
    attempts: int = 5
    """How often a request is sent while the server is busy or cannot be reached."""
    patience: int = 300
    """Seconds that indexing waits for a server that has answered before, with any number of
    attempts."""
    shard_number: int | None = None
    """Shards of a new collection, spread over the machines of a cluster; None for the server's
    default."""
    replication_factor: int | None = None
    """Copies of each shard."""
    write_consistency_factor: int | None = None
    """Copies that must store a change before it counts as written."""

    @classmethod
    def parse(cls, address: str) -> Self:
        """Read an address, in the form that the top of this file shows.

        Raises:
            ConfigError: it names no collection, or an unknown setting.
        """
        parts = urlsplit(address)
        if parts.password or parts.username:  # not shown: it may be a key
            raise ConfigError(
                f"{parts.hostname}: no name or key in an address, which is printed and stored; "
                f"put the key into ${API_KEY}"
            )
        prefix, _, collection = parts.path.rpartition("/")
        if not parts.hostname or not collection:
            raise ConfigError(
                f"{address}: names no collection; write it behind the server, such as "
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
            raise ConfigError(f"{address}: no setting {name!r}; there are {', '.join(known)}")
        if not value.isdecimal() or int(value) < 1:
            raise ConfigError(f"{address}: {name} is a number from 1 on, not {value!r}")
        found[name] = int(value)
    return found


def connect(settings: ServerSettings) -> QdrantClient:
    """A client for the server; the first request shows whether the server answers."""
    return QdrantClient(
        url=settings.url,
        api_key=settings.api_key,
        timeout=settings.timeout,
        check_compatibility=False,  # would ask the server from a thread, and warn by printing
    )


class Server:
    """A connection that repeats requests, and whose errors say what to do."""

    def __init__(
        self,
        settings: ServerSettings,
        client: QdrantClient | None = None,
        sleep: Callable[[float], None] = time.sleep,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        """A connection.

        Args:
            settings: which server.
            client: by default a new one.
            sleep: how to wait.
            waiting: called once with a message whenever the server is being waited for; without
                it, a request fails after its attempts.
        """
        self.settings = settings
        self._client: QdrantClient | None = client or connect(settings)
        self._sleep = sleep
        self._waiting = waiting
        self._has_answered = False

    def ask(self, question: Callable[[QdrantClient], Answer]) -> Answer:
        """Call `question` with the client, again if the server is busy or does not answer.

        Raises:
            IndexingError: the server cannot be reached, or refuses.
        """
        tried, waited = 0, 0.0
        while True:
            if self._client is None:
                raise IndexingError(f"{self.settings}: the index is closed")
            asked = time.monotonic()
            try:
                answer = question(self._client)
            except Exception as error:  # the client has no base class for its errors
                tried += 1
                waited += time.monotonic() - asked
                if not _worth_another_try(error):
                    raise IndexingError(f"{self.settings}: {self._advice(error, tried)}") from error
                if tried >= self.settings.attempts:
                    self._be_patient(error, tried, waited)
                pause = _pause(error, tried)
                self._sleep(pause)
                waited += pause
            else:
                self._has_answered = True
                return answer

    def _be_patient(self, error: Exception, tried: int, waited: float) -> None:
        """Allow one more attempt, or raise `IndexingError`."""
        # A server that never answered probably has another address.
        patient = self._waiting is not None and self._has_answered
        if not patient or waited >= self.settings.patience:
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
        if isinstance(error, ResponseHandlingException) and _worth_another_try(error):
            return f"{self._state(error, tried)}; is it running at {self.settings.url}?"
        if _worth_another_try(error):
            return f"{self._state(error, tried)}; try again later"
        status = error.status_code if isinstance(error, UnexpectedResponse) else None
        if status in (401, 403):
            return f"the server refuses ({_reason(error)}); set ${API_KEY} to a key that may write"
        if status == 404:
            return f"no index here; make one with `hgan index PHOTOS --to {self.settings}`"
        return f"the server refuses ({_reason(error)})"

    def _state(self, error: Exception, tried: int) -> str:
        """What is wrong with a server that may answer later."""
        if isinstance(error, ResponseHandlingException):
            return f"the server does not answer ({error.source}), asked {tried} times"
        return f"the server is busy or in trouble ({_reason(error)})"


def _worth_another_try(error: Exception) -> bool:
    if isinstance(error, ResponseHandlingException):
        return isinstance(error.source, TransportError)
    if isinstance(error, UnexpectedResponse):
        return error.status_code in _BUSY
    return isinstance(error, ResourceExhaustedResponse)


def _pause(error: Exception, tried: int) -> float:
    """Seconds until the next attempt: what the server says, or random up to a growing limit."""
    if isinstance(error, ResourceExhaustedResponse):
        return min(float(error.retry_after_s), LONGEST_PAUSE)
    # Random, so that many clients of one server do not all return at once.
    return random.uniform(0.0, min(FIRST_PAUSE * 2 ** (tried - 1), LONGEST_PAUSE))


def _reason(error: Exception) -> str:
    """The message of an error, on one line."""
    if isinstance(error, UnexpectedResponse):
        try:
            said = error.structured()["status"]["error"]
        except (ValueError, KeyError, TypeError):
            said = error.content.decode("utf-8", "replace")[:200]
        return " ".join(f"{error.status_code} {error.reason_phrase}: {said}".split())
    return " ".join(str(error).split()) or type(error).__name__
