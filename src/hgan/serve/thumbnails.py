"""Small JPEGs of photos, the last ones kept in memory up to a number of bytes."""

import io
from collections import OrderedDict
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


def etag(path: Path, size: Size) -> str:
    """Another one whenever the file has changed.

    Raises:
        OSError: there is no such file.
    """
    status = path.stat()
    return f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}-{size:d}"'


class Thumbnails:
    """Makes thumbnails; any thread may ask."""

    def __init__(self, most: int) -> None:
        """Keep at most so many bytes."""
        self._most = most
        self._bytes = 0
        self._kept: OrderedDict[tuple[Path, str], bytes] = OrderedDict()
        self._changing = Lock()

    def get(self, path: Path, size: Size, tag: str) -> bytes:
        """The JPEG of a photo that has this etag; a small photo is not enlarged.

        Raises:
            DataError: the photo cannot be read.
        """
        key = (path, tag)
        with self._changing:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = _thumbnail(path, size)
        with self._changing:
            if key not in self._kept:
                self._kept[key] = made
                self._bytes += len(made)
            while self._bytes > self._most:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= len(dropped)
        return made


def _thumbnail(path: Path, size: Size) -> bytes:
    photo = open_photo(path, hint=size)
    photo.thumbnail((size, size), Image.Resampling.LANCZOS)
    # A new image: what the photo says of its place and camera stays behind.
    plain = Image.new("RGB", photo.size)
    plain.paste(photo)
    file = io.BytesIO()
    plain.save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()
