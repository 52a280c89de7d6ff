"""Input types for photos and texts: one or many, in all supported forms."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeGuard, cast

import numpy as np
from PIL import Image

from hgan.errors import DataError
from hgan.runtime.images import PhotoSource, not_a_photo

Photos = PhotoSource | Iterable[PhotoSource]
"""One photo or many; a 4-dimensional array is a batch of photos, (N, H, W, 3)."""
Texts = str | Iterable[str]
"""One text or many. A string is one text, never a sequence of letters."""


def is_one_photo(photos: Photos) -> TypeGuard[PhotoSource]:
    """Whether the argument is one photo rather than several."""
    if isinstance(photos, np.ndarray):
        return photos.ndim != 4
    return isinstance(photos, str | Path | bytes | Image.Image)


def photos_of(photos: Photos) -> Iterator[PhotoSource]:
    """Iterate over the photos, without reading them.

    Raises:
        DataError: the argument is neither a photo nor a collection of photos.
    """
    if is_one_photo(photos):
        return iter((photos,))
    if not isinstance(photos, Iterable) or isinstance(photos, dict):
        raise DataError(not_a_photo(photos))
    return iter(cast("Iterable[PhotoSource]", photos))


def texts_of(texts: Texts) -> list[str]:
    """The texts as a list.

    Raises:
        DataError: something is not a string.
    """
    if isinstance(texts, str):
        return [texts]
    if isinstance(texts, bytes | dict) or not isinstance(texts, Iterable):
        raise DataError(f"a text must be a str, not {type(texts).__name__}{_hint(texts)}")
    found = list(texts)
    for position, text in enumerate(found):
        if not isinstance(text, str):
            raise DataError(
                f"text {position} of {len(found)} is {type(text).__name__}, not str{_hint(text)}"
            )
    return [str(text) for text in found]


def _hint(text: object) -> str:
    return "; decode it first, as in text.decode('utf-8')" if isinstance(text, bytes) else ""
