"""Shards of the photos, so that several machines can index one collection in parallel."""

import re
from dataclasses import dataclass, replace
from typing import Self

from hgan.errors import ConfigError
from hgan.index.store.bucket import BUCKETS, bucket_of
from hgan.sources.left_out import LeftOut
from hgan.sources.types import Listing

MAX_SHARDS = 10_000
"""Maximum number of shards; with more, machines would mostly list photos of other shards."""


@dataclass(frozen=True)
class Shard:
    """One part of the photos: a range of the buckets that a hash of the path chooses. Each photo is
    in exactly one shard, and stays in it when other photos are added or removed."""

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

    @property
    def buckets(self) -> range:
        """The buckets of this shard."""
        return range(
            (self.number - 1) * BUCKETS // self.shards, self.number * BUCKETS // self.shards
        )

    def holds(self, path: str) -> bool:
        """Whether the photo with this path, relative to the root, is in this shard."""
        return bucket_of(path) in self.buckets

    def select(self, listing: Listing) -> Listing:
        """A listing of the photos of this shard, without the other files and skipped paths of
        other shards; files that are left out belong to the first shard."""
        first = self.number == 1
        return replace(
            listing,
            left_out=listing.left_out if first else LeftOut(),
            ignored=listing.ignored if first else {},
            skipped={path: why for path, why in listing.skipped.items() if self.holds(path)},
        )


WHOLE = Shard(1, 1)
"""The shard that contains all photos."""
