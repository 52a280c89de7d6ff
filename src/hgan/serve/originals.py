"""An original photo that is served: version, type and bytes are of the same file. Of a video, it is
a frame, as a JPEG; the video itself can be sent, too.

A file is opened once, inside the indexed folder, so that nothing else is sent if it is replaced
meanwhile.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from hgan.errors import DataError
from hgan.index.store.contract import Entry
from hgan.runtime.images import media_type
from hgan.runtime.photo_file import open_inside, read_all
from hgan.runtime.video import read_frame, video_of
from hgan.runtime.video_type import video_type
from hgan.sources.folder import FolderSource
from hgan.sources.types import Photo, Source


class Original(ABC):
    """A photo; methods raise `DataError` or `SourceError` if it cannot be read."""

    version: str
    """Changes whenever the photo changes."""

    @abstractmethod
    def read(self) -> bytes:
        """The bytes of the file."""

    @abstractmethod
    def response(self, headers: Mapping[str, str]) -> Response:
        """A response that sends the file, with the media type of its content."""


@contextmanager
def open_original(source: Source, entry: Entry) -> Iterator[Original]:
    """Open a photo of an index, and close it at the end of the block; its response stays valid.

    Raises:
        DataError: the file no longer exists, is not a regular file, is too large, or is a link to a
            place outside the indexed folder of the photo.
    """
    part, path = source.locate(entry.path)
    frame = video_of(path) if entry.moment is not None else None
    if frame is not None and isinstance(part, FolderSource):
        video, number = frame
        file, status = open_inside(part.root, video, most=None)
        with file:
            yield _Frame(file, status, number, video)
    elif isinstance(part, FolderSource):
        file, status = open_inside(part.root, path)
        with file:
            yield _File(part.root / path, file, status)
    else:
        yield _Object(source, entry)


def send_video(source: Source, entry: Entry, headers: Mapping[str, str]) -> Response:
    """A response that sends the video of a frame of an index, or parts of it.

    Raises:
        DataError: the entry is no frame; or the file no longer exists, is not a video, is not a
            regular file, or is a link to a place outside the indexed folder.
    """
    part, path = source.locate(entry.path)
    frame = video_of(path) if entry.moment is not None else None
    if frame is None or not isinstance(part, FolderSource):
        raise DataError(f"{entry.path}: not a frame of a video")
    video, _ = frame
    file, status = open_inside(part.root, video, most=None)
    with file:
        return _File(part.root / video, file, status, video_type).response(headers)


class _File(Original):
    """A file in the indexed folder."""

    def __init__(
        self,
        path: Path,
        file: BinaryIO,
        status: os.stat_result,
        type_of: Callable[[BinaryIO, str], str] = media_type,
    ) -> None:
        self._path, self._file, self._status = path, file, status
        self._type_of = type_of
        self.version = _version(status)

    def read(self) -> bytes:
        return read_all(self._file, self._path)

    def response(self, headers: Mapping[str, str]) -> Response:
        self._file.seek(0)
        kind = self._type_of(self._file, self._path.name)
        own = os.fdopen(os.dup(self._file.fileno()), "rb")
        return _OpenFileResponse(own, self._path, self._status, headers, kind)


class _Frame(Original):
    """A frame of a video in the indexed folder."""

    def __init__(self, file: BinaryIO, status: os.stat_result, number: int, name: str) -> None:
        self._file, self._number, self._name = file, number, name
        self.version = f"{_version(status)}-{number}"

    def read(self) -> bytes:
        return read_frame(self._file, self._number, self._name).data

    def response(self, headers: Mapping[str, str]) -> Response:
        return Response(self.read(), 200, headers, "image/jpeg")


class _Object(Original):
    """A photo in an object store. Its version is that of the index, since a check would take as
    long as reading."""

    def __init__(self, source: Source, entry: Entry) -> None:
        self._source = source
        self._photo = Photo(entry.path, entry.size, entry.mtime, entry.etag)
        self.version = entry.digest[:32]

    def read(self) -> bytes:
        return self._source.read(self._photo).data

    def response(self, headers: Mapping[str, str]) -> Response:
        data = self.read()
        return Response(data, 200, headers, media_type(data, self._photo.path))


def _version(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


class _OpenFileResponse(FileResponse):
    """Sends an open file, and closes it."""

    def __init__(
        self,
        file: BinaryIO,
        path: Path,
        status: os.stat_result,
        headers: Mapping[str, str],
        kind: str,
    ) -> None:
        # `FileResponse` opens a name. This one is that of the open file, whatever `path` is now; on
        # Windows, which has no such names, an open file cannot be replaced.
        opened = Path(f"/dev/fd/{file.fileno()}")
        place = opened if opened.exists() else path
        super().__init__(place, 200, headers, kind, stat_result=status)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await super().__call__(scope, receive, send)
