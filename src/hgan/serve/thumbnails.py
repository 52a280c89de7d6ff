"""Small JPEGs of photos, with a cache in memory that keeps the most recently used ones."""

import io
from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum
from threading import Lock

from PIL import Image

from hgan.runtime.images import open_photo

QUALITY = 82


class Size(IntEnum):
    """Length of the longer side in pixels; only a few sizes, so that the cache stays effective."""

    SMALL = 128
    MEDIUM = 256
    LARGE = 512
    SCREEN = 2048
    """For a whole screen, if browsers do not show the photo's format."""


def etag(version: str, size: Size) -> str:
    """The ETag of a thumbnail; `version` is that of the photo, see `Original.version`."""
    return f'"{version}-{size:d}"'


class Thumbnails:
    """Makes and caches thumbnails; safe for use from several threads."""

    def __init__(self, max_bytes: int) -> None:
        """Cache at most `max_bytes` of thumbnails."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self._cache: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, photo: str, tag: str, size: Size, read: Callable[[], bytes], name: str) -> bytes:
        """The thumbnail of a photo as JPEG; a small photo is not enlarged.

        Args:
            photo: the id of the photo.
            tag: the ETag of the thumbnail.
            size: length of the longer side.
            read: reads the photo; called only if the thumbnail is not in the cache.
            name: the name of the photo, see `open_photo`.

        Raises:
            DataError: the photo cannot be read.
        """
        key = (photo, tag)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        made = _thumbnail(read(), size, name)
        with self._lock:
            if key not in self._cache:
                self._cache[key] = made
                self._bytes += len(made)
            while self._bytes > self._max_bytes:
                _, dropped = self._cache.popitem(last=False)
                self._bytes -= len(dropped)
        return made


def _thumbnail(content: bytes, size: Size, name: str) -> bytes:
    photo = open_photo(content, size, name)
    photo.thumbnail((size, size), Image.Resampling.LANCZOS)
    # A new image without the metadata of the photo, such as its location and camera.
    plain = Image.new("RGB", photo.size)
    plain.paste(photo)
    file = io.BytesIO()
    plain.save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()
