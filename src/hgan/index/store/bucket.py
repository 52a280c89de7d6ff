"""Buckets of photos: a small number derived from the path, by which machines divide an index."""

import hashlib

from hgan.runtime.video import file_of

BUCKETS = 2**16
"""Number of buckets; stored in payloads, so it cannot change."""


def bucket_of(path: str) -> int:
    """The bucket of the photo with this path, relative to the root: a hash of it.

    The frames of a video are in the bucket of its path."""
    digest = hashlib.sha256(file_of(path).encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS
