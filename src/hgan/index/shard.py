"""Shards of the photos, so that several machines can index one collection in parallel."""

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Self

from hgan.errors import ConfigError
from hgan.sources.left_out import LeftOut
from hgan.sources.types import Listing

MAX_SHARDS = 10_000
"""Maximum number of shards; with more, machines would mostly list photos of other shards."""


@dataclass(frozen=True)
class Shard:
    """One part of the photos, chosen by a hash of the path: each photo is in exactly one shard, and
    stays in it when other photos are added or removed."""

    number: int
    """Number of this shard, starting at 1."""
    shards: int
    """Total number of shards."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a text such as `2/8`.

        Raises:
            ConfigError: the text does not have this format.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
        number, shards = (int(group) for group in found.groups()) if found else (0, 0)
        if not 1 <= number <= shards <= MAX_SHARDS:
            raise ConfigError(
                f"--part {text}: not valid; write 2/8 for the second of eight machines (at most "
                f"{MAX_SHARDS:,} parts)"
            )
        return cls(number, shards)

    def holds(self, path: str) -> bool:
        """Whether the photo with this path, relative to the root, is in this shard."""
        digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.shards == self.number - 1

    def select(self, listing: Listing) -> Listing:
        """The part of a listing that belongs to this shard, including its skipped paths; files that
        are left out belong to the first shard."""
        first = self.number == 1
        return replace(
            listing,
            left_out=listing.left_out if first else LeftOut(),
            ignored=listing.ignored if first else {},
            photos=[photo for photo in listing.photos if self.holds(photo.path)],
            skipped={path: why for path, why in listing.skipped.items() if self.holds(path)},
        )


WHOLE = Shard(1, 1)
"""The shard that contains all photos."""
