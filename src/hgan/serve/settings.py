"""The settings of a service: its keys, and the limits for requests."""

import os
import re
from dataclasses import dataclass, field
from typing import Self

from hgan.errors import ConfigError

API_KEYS = "HGAN_API_KEYS"
"""The environment variable with the keys, separated by commas."""
_HOST = re.compile(r"\[?[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*\]?|[A-Za-z0-9._-]+")
SHORTEST_KEY = 16
"""Minimum length of a key in characters."""


@dataclass(frozen=True)
class Settings:
    """Settings of a service; the defaults suit one machine and a few users.

    Raises:
        ConfigError: a setting is not valid.
    """

    keys: tuple[str, ...] = field(default=(), repr=False)
    """API keys that allow changes to the index. Without keys, changes are not possible."""
    require_key: bool = False
    """Whether searching also requires a key."""
    rate: float | None = None
    """Average number of requests per second that each client may make; None for no limit."""
    hosts: tuple[str, ...] = ()
    """Host names and addresses by which the service is reached, in addition to localhost; see
    `hgan.serve.middleware.origins`."""
    cors: tuple[str, ...] = ()
    """Origins whose pages may call the service from a browser (CORS)."""
    body_bytes: int = 20 * 2**20
    """Maximum size of the body of a request with a photo."""
    json_bytes: int = 2 * 2**20
    """Maximum size of the body of a request without a photo; it is kept in memory."""
    bodies_bytes: int = 256 * 2**20
    """Maximum size of the bodies of all present requests together; more are rejected."""
    uploads: int = 32
    """Maximum number of photos that are received at once (large ones on disk); more are
    rejected."""
    time_limit: float = 30.0
    """Seconds until the response to a request must have started."""
    text_workers: int = 16
    """Number of text queries that are processed at once, and so the maximum batch size."""
    photo_workers: int = 2
    """Number of photos that are decoded at once; each may need 300 MB of memory."""
    queue: int = 64
    """Maximum number of requests that wait in each of the two pools; more are rejected."""
    results: int = 100_000
    """Maximum of queries x (`k` + `offset`) of all requests that run or wait in each of the two
    pools; more are rejected. Two cores find about 40,000 results per second."""
    thumbnail_bytes: int = 64 * 2**20
    """Maximum size of the thumbnail cache in memory."""

    def __post_init__(self) -> None:
        if self.require_key and not self.keys:
            raise ConfigError(
                f"a key is required, but none is configured; put keys into ${API_KEYS}"
            )
        if short := [key for key in self.keys if len(key) < SHORTEST_KEY]:
            raise ConfigError(
                f"${API_KEYS}: a key has only {len(short[0])} characters and can be guessed; use "
                f"{SHORTEST_KEY} or more"
            )
        if not all(key.isascii() and key.isprintable() for key in self.keys):
            raise ConfigError(
                f"${API_KEYS}: a key has characters that are not allowed in an HTTP header"
            )
        for name in self.hosts:
            if not _HOST.fullmatch(name):
                raise ConfigError(
                    f"{name!r} is not a host name; write one such as photos.example.org, without a "
                    "scheme and a port"
                )
        if self.rate is not None and not self.rate > 0:
            raise ConfigError(f"the rate must be a number of requests above 0, not {self.rate}")

    @classmethod
    def of_environment(cls, **others: object) -> Self:
        """Settings with the keys of the environment variable."""
        keys = (key.strip() for key in os.environ.get(API_KEYS, "").split(","))
        return cls(keys=tuple(key for key in keys if key), **others)  # type: ignore[arg-type]
