"""Small JPEGs of photos, the last ones kept in memory up to a number of bytes."""

import io
from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from threading import Lock

from PIL import Image

from hgan.runtime.images import open_photo

QUALITY = 82


class Size(IntEnum):
    """Of the longer side, in pixels; few, so that few are kept."""

    SMALL = 128
    MEDIUM = 256
    LARGE = 512


def etag(version: str, size: Size) -> str:
    """Of the thumbnail of a photo in this version, see `Library.version`."""
    return f'"{version}-{size:d}"'


class Thumbnails:
    """Makes thumbnails; any thread may ask."""

    def __init__(self, most: int) -> None:
        """Keep at most so many bytes."""
        self._most = most
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._changing = Lock()

    def get(self, photo: str, tag: str, size: Size, read: Callable[[], Path | bytes]) -> bytes:
        """The JPEG of a photo; a small photo is not enlarged.

        Args:
            photo: its id.
            tag: its etag.
            size: of the longer side.
            read: gets the photo, where its thumbnail is not kept.

        Raises:
            DataError: the photo cannot be read.
        """
        key = (photo, tag)
        with self._changing:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = _thumbnail(read(), size)
        with self._changing:
            if key not in self._kept:
                self._kept[key] = made
                self._bytes += len(made)
            while self._bytes > self._most:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= len(dropped)
        return made


def _thumbnail(content: Path | bytes, size: Size) -> bytes:
    photo = open_photo(content, hint=size)
    photo.thumbnail((size, size), Image.Resampling.LANCZOS)
    # A new image: what the photo says of its place and camera stays behind.
    plain = Image.new("RGB", photo.size)
    plain.paste(photo)
    file = io.BytesIO()
    plain.save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()
