"""How a service behaves; every number that a flood of requests could run into."""

import os
from dataclasses import dataclass, field
from typing import Self

from hgan.errors import ConfigError

API_KEYS = "HGAN_API_KEYS"
"""The environment variable with the keys, separated by commas."""
SHORTEST_KEY = 16


@dataclass(frozen=True)
class Settings:
    """Settings of a service; the defaults suit one machine and a few people.

    Raises:
        ConfigError: a setting cannot work.
    """

    keys: tuple[str, ...] = field(default=(), repr=False)
    """Whoever has one of these may manage. Without any, nobody may."""
    require_key: bool = False
    """Searching needs a key as well."""
    rate: float | None = None
    """Requests a second that each client may make in the long run; None for any number."""
    cors: tuple[str, ...] = ()
    """Origins whose pages may call the service from a browser."""
    body_bytes: int = 20 * 2**20
    """Of the largest request, which brings a photo."""
    json_bytes: int = 2 * 2**20
    """Of the largest request without a photo; it is kept in memory."""
    uploads: int = 32
    """Photos that are being received at once, each on disk once it is large; more are refused."""
    time_limit: float = 30.0
    """Seconds until a request must have begun to be answered."""
    text_workers: int = 16
    """Text queries at once; so many can be encoded in one batch."""
    photo_workers: int = 2
    """Photos decoded at once; each may take 300 MB."""
    queue: int = 64
    """Requests that wait for a worker of either kind; more are refused."""
    batch_window: float = 0.002
    """Seconds that a text query waits for others to be encoded with."""
    thumbnail_bytes: int = 64 * 2**20
    """Of the thumbnails that are kept in memory."""

    def __post_init__(self) -> None:
        if self.require_key and not self.keys:
            raise ConfigError(f"a key is required and there is none; put keys into ${API_KEYS}")
        if short := [key for key in self.keys if len(key) < SHORTEST_KEY]:
            raise ConfigError(
                f"${API_KEYS}: a key has {len(short[0])} characters, which can be guessed; give it "
                f"{SHORTEST_KEY} or more"
            )
        if not all(key.isascii() and key.isprintable() for key in self.keys):
            raise ConfigError(f"${API_KEYS}: a key has characters that no HTTP header can hold")
        if self.rate is not None and not self.rate > 0:
            raise ConfigError(f"the rate is a number of requests above 0, not {self.rate}")

    @classmethod
    def of_environment(cls, **others: object) -> Self:
        """With the keys that the environment holds."""
        keys = (key.strip() for key in os.environ.get(API_KEYS, "").split(","))
        return cls(keys=tuple(key for key in keys if key), **others)  # type: ignore[arg-type]
