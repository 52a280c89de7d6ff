"""Checksums of the stored vectors of a point, so that damage on disk is found.

Vectors in float16 are rounded before they are stored, so the engine returns the same bits, and a
CRC-32 of them is stored with the point's metadata. The CRC includes the id, so that vectors which
were exchanged between two points are found too.

Vectors of 8 bits are lossy: the engine returns other bits than it was given. For each of them
the inner product with a fixed vector of +1 and -1 is stored, and must be the same up to the
rounding error. This finds all changes that matter for a score, but not those of a low bit.
"""

from functools import cache
from hashlib import shake_128
from typing import Any
from zlib import crc32

import numpy as np

TOLERANCE = 0.1
"""Maximum difference of an inner product of a vector in 8 bits. The rounding error of a unit vector
has a standard deviation of about 0.007 there."""


def checksum(key: str, vectors: np.ndarray) -> int:
    """CRC-32 of a point's id and its vectors of one level, in float16."""
    return crc32(np.ascontiguousarray(vectors, "<f2").tobytes(), crc32(key.encode()))


def projections(vectors: np.ndarray) -> list[float]:
    """(n,): the inner product of each vector (n, D) with a fixed vector of +1 and -1."""
    signs = _signs(vectors.shape[1])
    return [round(float(value), 3) for value in vectors.astype(np.float64) @ signs]


@cache
def _signs(width: int) -> np.ndarray:
    """(D,): +1 and -1, always the same."""
    bits = np.unpackbits(np.frombuffer(shake_128(b"hgan").digest(width // 8 + 1), np.uint8))
    signs: np.ndarray = 1.0 - 2.0 * bits[:width]
    return signs


def matches(key: str, vectors: np.ndarray, stored: Any) -> bool:
    """Whether the vectors of one level are those whose checksum, or projections, were stored."""
    if isinstance(stored, list):
        found = np.array(projections(vectors.reshape(-1, vectors.shape[-1])))  # (n,)
        expected = np.array(stored, np.float64)
        return found.shape == expected.shape and bool(
            (np.abs(found - expected) <= TOLERANCE).all()  # False for NaN
        )
    return bool(checksum(key, vectors) == stored)
