"""Perceptual fingerprints: bits that stay the same when a photo is resized or saved again.

It is the difference hash: the photo is reduced to a small gray picture, and each bit says whether a
pixel is brighter than the one to its left (N. Krawetz, *Kind of Like That*, 2013), here of 16 x 16
bits.
"""

import numpy as np
from PIL import Image

SIDE = 16
ALIKE = 40
"""Largest number of different bits, of 256, of copies. Measured on Flickr8k
(benchmarks/duplicates.py): copies saved again at quality 90 to 20, 10 % brighter, or reduced to a
quarter of the size have at most 35; the most similar of 4.5 million pairs of different photos has
48."""


def fingerprint(photo: Image.Image) -> np.ndarray:
    """The fingerprint (SIDE * SIDE,) bool of an upright photo."""
    small = photo.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    gray = np.asarray(small, np.int16)
    bits: np.ndarray = (gray[:, 1:] > gray[:, :-1]).reshape(-1)
    return bits


def to_hex(bits: np.ndarray) -> str:
    """A fingerprint as `SIDE * SIDE / 4` hexadecimal digits."""
    return np.packbits(bits).tobytes().hex()


def from_hex(text: str) -> np.ndarray | None:
    """The fingerprint that `to_hex` has written; None if the text is not one."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        return None
    if len(data) != SIDE * SIDE // 8:
        return None
    return np.unpackbits(np.frombuffer(data, np.uint8)).astype(np.bool_)


def distance(one: np.ndarray, other: np.ndarray) -> int:
    """The number of different bits."""
    return int(np.count_nonzero(one != other))
