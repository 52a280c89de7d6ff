"""The settings of a service: its keys, and the limits for requests."""

import os
from dataclasses import dataclass, field
from typing import Self

from hgan.errors import ConfigError

API_KEYS = "HGAN_API_KEYS"
"""The environment variable with the keys, separated by commas."""
SHORTEST_KEY = 16


@dataclass(frozen=True)
class Settings:
    """Settings of a service; the defaults suit one machine and a few users.

    Raises:
        ConfigError: a setting is not valid.
    """

    keys: tuple[str, ...] = field(default=(), repr=False)
    """API keys that allow changes to the index. Without any, changes are not possible."""
    require_key: bool = False
    """Whether searching requires a key too."""
    rate: float | None = None
    """Requests a second that each client may make on average; None for no limit."""
    cors: tuple[str, ...] = ()
    """Origins whose pages may call the service from a browser (CORS)."""
    body_bytes: int = 20 * 2**20
    """Largest body of a request with a photo."""
    json_bytes: int = 2 * 2**20
    """Largest body of a request without a photo; it is kept in memory."""
    uploads: int = 32
    """Photos that are received at once, large ones on disk; more are refused."""
    time_limit: float = 30.0
    """Seconds until the response to a request must have started."""
    text_workers: int = 16
    """Text queries that are processed at once, and so the largest batch."""
    photo_workers: int = 2
    """Photos that are decoded at once; each may need 300 MB of memory."""
    queue: int = 64
    """Requests that may wait in each of the two pools; more are refused."""
    batch_window: float = 0.002
    """Seconds that a text query waits for others, to be encoded in one batch."""
    thumbnail_bytes: int = 64 * 2**20
    """Size of the cache of thumbnails in memory."""

    def __post_init__(self) -> None:
        if self.require_key and not self.keys:
            raise ConfigError(
                f"a key is required, but none is configured; put keys into ${API_KEYS}"
            )
        if short := [key for key in self.keys if len(key) < SHORTEST_KEY]:
            raise ConfigError(
                f"${API_KEYS}: a key has {len(short[0])} characters, which can be guessed; use "
                f"{SHORTEST_KEY} or more"
            )
        if not all(key.isascii() and key.isprintable() for key in self.keys):
            raise ConfigError(
                f"${API_KEYS}: a key has characters that are not allowed in an HTTP header"
            )
        if self.rate is not None and not self.rate > 0:
            raise ConfigError(f"the rate must be a number of requests above 0, not {self.rate}")

    @classmethod
    def of_environment(cls, **others: object) -> Self:
        """Settings with the keys of the environment variable."""
        keys = (key.strip() for key in os.environ.get(API_KEYS, "").split(","))
        return cls(keys=tuple(key for key in keys if key), **others)  # type: ignore[arg-type]
