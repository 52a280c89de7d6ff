"""A photo that is sent, into the folder and into the index.

It is decoded and encoded before anything is written. Then it gets its name in the folder in the
same moment as it is whole there, right after the index has taken it; so a failure at any point
leaves the folder as it was, and whatever a kill leaves half done, the next indexing puts right.
"""

import errno
import hashlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image
from starlette.exceptions import HTTPException

from hgan.encoded import Encoded
from hgan.errors import DataError
from hgan.files import atomic_write
from hgan.index.points import entry_of, points_of
from hgan.index.store.contract import Entry, Store
from hgan.runtime.bundle import Bundle
from hgan.runtime.exif import read_exif
from hgan.runtime.images import media_type, open_photo, to_pixels
from hgan.serve.upload_paths import TakenError, parts_of, place_of
from hgan.sources.types import Photo

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Adding:
    """Takes photos in; any thread may ask."""

    def __init__(self, root: Path, index: Path | None, store: Store, bundle: Bundle) -> None:
        """For the photos of `root`; `index` is the folder of the index, None on a server."""
        self._root = root
        self._index = index
        self._store = store
        self._bundle = bundle
        self._writing = Lock()
        self._counting = Lock()
        self._running = 0

    @property
    def running(self) -> int:
        """Photos that are being added now."""
        return self._running

    def add(
        self, data: bytes, path: str, tags: tuple[str, ...], overwrite: bool
    ) -> tuple[Entry, bool]:
        """Store a photo; what is remembered of it, and whether it replaced another.

        Args:
            data: the bytes of the file.
            path: where it goes, below the folder that was indexed.
            tags: beside those that the photo has itself; the index remembers them until the file
                is changed by others, or the index is made anew.
            overwrite: whether it may replace a photo.

        Raises:
            DataError: the path is none, or leads elsewhere.
            HTTPException: 403, the folder cannot be written; 409, the place is taken; 415, the
                data is no photo, or not the kind that its name says; 507, the disk is full.
            IndexingError: the index does not take it.
        """
        with self._counting:
            self._running += 1
        try:
            parts = parts_of(path)
            encoded = self._encode(data, parts[-1])
            with self._writing:
                return self._write(data, parts, tags, overwrite, encoded)
        except TakenError as error:
            raise HTTPException(409, str(error)) from error
        except OSError as error:
            raise _unwritten(error) from error
        finally:
            with self._counting:
                self._running -= 1

    def _encode(self, data: bytes, name: str) -> Encoded[np.ndarray]:
        size = self._bundle.config.size
        try:
            found = media_type(data)
            pixels = to_pixels(open_photo(data, hint=size), size)
        except DataError as error:
            raise HTTPException(415, str(error)) from error
        said = Image.MIME[Image.registered_extensions()[Path(name).suffix.lower()]]
        if found != said:
            raise HTTPException(415, f"{name!r} says {said}, and the photo is {found}; rename it")
        return self._bundle.encode_images([pixels])

    def _write(
        self,
        data: bytes,
        parts: list[str],
        tags: tuple[str, ...],
        overwrite: bool,
        encoded: Encoded[np.ndarray],
    ) -> tuple[Entry, bool]:
        if not self._root.is_dir():
            raise HTTPException(403, "the folder of photos is not on this machine any more")
        place = place_of(self._root, parts, self._index)
        there = place.exists()
        if there and not overwrite:
            raise TakenError(
                "path: there is a photo of this name; choose another, or send replace=true"
            )
        missing = [folder for folder in place.parents if not folder.exists()]
        try:
            with atomic_write(place) as file:
                file.write(data)
                file.flush()
                entry = self._entry(data, "/".join(parts), tags, Path(file.name))
                self._store.upsert(points_of([entry], encoded, self._bundle.config.weights))
                self._store.flush()
        except BaseException:
            with suppress(OSError):
                for folder in missing:  # the innermost first
                    folder.rmdir()
            raise
        return entry, there

    def _entry(self, data: bytes, path: str, tags: tuple[str, ...], file: Path) -> Entry:
        status = file.stat()
        digest = hashlib.sha256(data).hexdigest()
        photo = Photo(path, status.st_size, status.st_mtime_ns, digest, read_exif(file))
        return replace(entry_of(photo), tags=tuple(dict.fromkeys((*photo.exif.tags, *tags))))


def _unwritten(error: OSError) -> HTTPException:
    if error.errno in _NO_ROOM:
        return HTTPException(507, "the disk is full; nothing was stored")
    return HTTPException(
        403, f"the folder of photos cannot be written ({error.strerror}); nothing was stored"
    )
