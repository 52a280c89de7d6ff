"""Add uploaded photos to the folder and to the index.

A photo is decoded and encoded before anything is written. Then the file is written under a
temporary name, the index stores the photo, and the file is renamed. After an error, the folder and
the index are unchanged. If the process is killed in between, the next indexing repairs the index.
"""

import os
from contextlib import suppress
from pathlib import Path
from threading import Lock

import numpy as np
from starlette.exceptions import HTTPException

from hgan.encoded import Encoded
from hgan.errors import DataError, IndexingError
from hgan.files import atomic_write
from hgan.index.store.contract import Entry
from hgan.index.writer import IndexWriter
from hgan.runtime.bundle import Bundle
from hgan.runtime.fingerprint import fingerprint, to_hex
from hgan.runtime.formats import named_type
from hgan.runtime.images import media_type, open_photo
from hgan.runtime.photo_file import LARGEST_PHOTO
from hgan.runtime.photo_names import parts_of
from hgan.serve.problems import is_disk_full
from hgan.serve.stopping import begin_change
from hgan.serve.upload_paths import TakenError, place_of
from hgan.sources.folder import FolderSource
from hgan.sources.folders import FoldersSource
from hgan.sources.left_out import LEAST_SIDE
from hgan.sources.types import Photo, PhotoContent
from hgan.sources.walk import rule_for


class Uploads:
    """Adds photos; all methods are thread-safe."""

    def __init__(
        self,
        source: FolderSource | FoldersSource,
        index: Path | None,
        writer: IndexWriter,
        bundle: Bundle,
    ) -> None:
        """Add photos to the folders of `source`; `index` is the folder of the index, or None if it
        is on a server."""
        self._source = source
        self._index = index
        self._writer = writer
        self._bundle = bundle
        self._counting = Lock()
        self._running = 0

    @property
    def running(self) -> int:
        """Photos that are being added now."""
        return self._running

    def add(
        self, data: bytes, path: str, tags: tuple[str, ...], overwrite: bool
    ) -> tuple[Entry, bool]:
        """Store a photo.

        Args:
            data: the bytes of the file.
            path: path of the file in the index.
            tags: tags in addition to those in the file. The index keeps them for this path, even if
                the file changes, until the photo is removed or replaced by another upload. A newly
                created index does not have them.
            overwrite: whether to overwrite an existing photo.

        Returns:
            The stored metadata, and whether another photo was replaced.

        Raises:
            DataError: the path is not valid, is outside the folder, or is ignored by a rule.
            HTTPException: 403, the folder cannot be written; 409, the path already exists; 413, the
                photo is too large; 415, the data is not a photo, it is too small, or its format
                does not match its name; 507, the disk is full.
            IndexingError: the index cannot be written.
        """
        with self._counting:
            self._running += 1
        try:
            parts = parts_of(path)
            part, inside = self._source.locate(path)
            if rule := rule_for(part, inside):
                raise DataError(f"path: files with this path are ignored ({rule}); choose another")
            encoded, found = self._encode(data, parts[-1])
            return self._write(data, path, tags, overwrite, encoded, found)
        except TakenError as error:
            raise HTTPException(409, str(error)) from error
        except (OSError, IndexingError) as error:
            if is_disk_full(error):
                raise HTTPException(507, "the disk is full; nothing was stored") from error
            if isinstance(error, OSError):
                raise _unwritten(error) from error
            raise
        finally:
            with self._counting:
                self._running -= 1

    def _encode(self, data: bytes, name: str) -> tuple[Encoded[np.ndarray], str]:
        """The encoded photo, and its fingerprint."""
        if len(data) > LARGEST_PHOTO:
            raise HTTPException(
                413, f"the photo is larger than the limit of {LARGEST_PHOTO // 2**20} MB"
            )
        try:
            found = media_type(data)
            preprocessing = self._bundle.preprocessing
            photo = open_photo(data, preprocessing.hint, least=LEAST_SIDE)
            pixels = preprocessing.pixels(photo)
        except DataError as error:
            raise HTTPException(415, str(error)) from error
        if found != (named := named_type(name)):
            raise HTTPException(
                415, f"{name!r} is a name for {named}, but the photo is {found}; rename it"
            )
        return self._bundle.encode_images([pixels]), to_hex(fingerprint(photo))

    def _write(
        self,
        data: bytes,
        path: str,
        tags: tuple[str, ...],
        overwrite: bool,
        encoded: Encoded[np.ndarray],
        found: str,
    ) -> tuple[Entry, bool]:
        with self._writer.exclusive():
            begin_change()  # a request that was answered with an error must not store anything
            part, inside = self._source.locate(path)
            root = Path(part.root)
            if not root.is_dir():
                raise HTTPException(403, "the folder of photos no longer exists")
            place = place_of(root, inside.split("/"), self._index)
            exists = place.exists()
            if exists and not overwrite:
                raise TakenError(
                    "path: a photo with this name exists; choose another name, or send replace=true"
                )
            created = [folder for folder in place.parents if not folder.exists()]
            try:
                with atomic_write(place) as file:
                    file.write(data)
                    file.flush()
                    status = os.fstat(file.fileno())
                    photo = Photo(path, status.st_size, status.st_mtime_ns)
                    content = PhotoContent(photo, data)
                    entry = self._writer.add(content, encoded, tags, found)
            except BaseException:
                with suppress(OSError):
                    for folder in created:  # the innermost first
                        folder.rmdir()
                raise
        return entry, exists


def _unwritten(error: OSError) -> HTTPException:
    return HTTPException(
        403, f"the folder of photos cannot be written ({error.strerror}); nothing was stored"
    )
