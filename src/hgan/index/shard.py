"""A share of the photos, so that several machines index one collection side by side."""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from hgan.errors import ConfigError
from hgan.sources.types import Photo

MOST = 10_000
"""Parts; beyond that, each of them would mostly list what is there."""


@dataclass(frozen=True)
class Part:
    """One of so many shares, by a hash of the path: each photo is in one of them, and stays there
    whatever else comes or goes."""

    number: int
    """From 1 on."""
    parts: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2/8`.

        Raises:
            ConfigError: it is no part.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
        number, parts = (int(group) for group in found.groups()) if found else (0, 0)
        if not 1 <= number <= parts <= MOST:
            raise ConfigError(
                f"--part {text}: no part; of eight machines, the second takes 2/8 (there are at "
                f"most {MOST:,} parts)"
            )
        return cls(number, parts)

    def holds(self, path: str) -> bool:
        """Whether the photo of this path below the root is in this part."""
        digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.parts == self.number - 1

    def own(self, photos: list[Photo], skipped: dict[str, str]) -> list[Photo]:
        """The photos of this part; what was skipped of other parts is forgotten."""
        for path in [path for path in skipped if not self.holds(path)]:
            del skipped[path]
        return [photo for photo in photos if self.holds(photo.path)]


WHOLE = Part(1, 1)
"""Every photo."""
