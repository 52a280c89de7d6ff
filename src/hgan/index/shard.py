"""A share of the photos, so that several machines can index one collection side by side."""

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Self

from hgan.errors import ConfigError
from hgan.sources.types import Listing

MAX_SHARDS = 10_000
"""With more shards, each machine would spend most of its time listing photos of others."""


@dataclass(frozen=True)
class Shard:
    """One of several shares, chosen by a hash of the path: each photo is in exactly one shard, and
    stays there whatever photos are added or removed."""

    number: int
    """From 1 on."""
    shards: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2/8`.

        Raises:
            ConfigError: the text is not of this form.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
        number, shards = (int(group) for group in found.groups()) if found else (0, 0)
        if not 1 <= number <= shards <= MAX_SHARDS:
            raise ConfigError(
                f"--part {text}: not a part; of eight machines, the second takes 2/8 (at most "
                f"{MAX_SHARDS:,} parts)"
            )
        return cls(number, shards)

    def holds(self, path: str) -> bool:
        """Whether the photo of this path below the root is in this shard."""
        digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.shards == self.number - 1

    def select(self, listing: Listing) -> Listing:
        """The photos of this shard; paths that were skipped belong to shards like photos."""
        return replace(
            listing,
            photos=[photo for photo in listing.photos if self.holds(photo.path)],
            skipped={path: why for path, why in listing.skipped.items() if self.holds(path)},
        )


WHOLE = Shard(1, 1)
"""Every photo."""
