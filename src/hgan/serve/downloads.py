"""Several photos as one ZIP archive, which is sent while it is made, a photo at a time.

Of a video, frames are sent, and not the file, which may be larger than the memory.
"""

import asyncio
import io
import re
import zipfile
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath

from starlette.exceptions import HTTPException

from hgan.index.store.contract import Entry
from hgan.runtime.video import clock
from hgan.serve.library import Library
from hgan.serve.pool import Pool

MOST_PHOTOS = 500
"""Maximum number of photos in one archive."""
LARGEST = 2**30
"""Maximum size of all photos of one archive in bytes; browsers keep it until it is complete."""
LEFT_OUT = "Left out.txt"
"""Name of the file in the archive that lists photos that could not be read."""

_UNSAFE = re.compile(r'[\x00-\x1f\x7f\\/:*?"<>|\ud800-\udfff]')
"""What some systems do not allow in names of files, or read as a path."""
_EARLIEST = 315_532_800
"""1980, the first year of times in ZIP archives, in seconds since 1970."""
_ATTEMPTS = 120
_WAIT = 0.5
"""Seconds between attempts while the pool is full."""


def check_size(entries: Iterable[Entry]) -> None:
    """Check that photos fit into one archive.

    Raises:
        HTTPException: 413, they do not.
    """
    if sum(map(_size, entries)) > LARGEST:
        raise HTTPException(
            413,
            f"the photos have more than {LARGEST // 2**20} MB together; download fewer at once",
        )


def _size(entry: Entry) -> int:
    """Bytes of a photo; of a frame, those that its JPEG has at most, as it is no file."""
    return entry.size if entry.moment is None else entry.width * entry.height


def names_of(entries: Sequence[Entry]) -> list[str]:
    """A name for each photo in the archive, without folders; equal names get a number."""
    found: list[str] = []
    used = {LEFT_OUT.lower()}
    for entry in entries:
        path = PurePosixPath(_UNSAFE.sub("_", _name(entry)))
        name, number = str(path), 1
        while name.lower() in used:  # some systems do not distinguish case
            number += 1
            name = f"{path.stem} ({number}){path.suffix}"
        used.add(name.lower())
        found.append(name)
    return found


def _name(entry: Entry) -> str:
    """The name of a photo; for a frame, that of the video with the time, `clip at 0-42.jpg`."""
    path = PurePosixPath(entry.file)
    if entry.moment is None:
        return path.name
    return f"{path.stem} at {clock(entry.moment).replace(':', '-')}.jpg"


async def archive(library: Library, pool: Pool, entries: Sequence[Entry]) -> AsyncIterator[bytes]:
    """The bytes of the archive, a part for each photo, which is read in a thread of the pool.

    What can no longer be read is left out and listed, because the answer has already begun.
    """
    sink = _Sink()
    left_out: list[str] = []
    room = LARGEST  # files may have grown since they were indexed
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as made:
        for entry, name in zip(entries, names_of(entries), strict=True):
            data = await _read(library, pool, entry)
            if data is None or len(data) > room:
                left_out.append(entry.path)
                continue
            room -= len(data)
            made.writestr(_info(name, entry.mtime), data)
            yield sink.take()
        if left_out:
            lines = ["These photos could not be read:", *map(_printable, left_out)]
            made.writestr(LEFT_OUT, "\n".join(lines) + "\n")
    yield sink.take()


async def _read(library: Library, pool: Pool, entry: Entry) -> bytes | None:
    """The bytes of a photo; None if it cannot be read."""
    for _ in range(_ATTEMPTS):
        try:
            return await pool.run(_content, library, entry)
        except HTTPException as error:
            if error.status_code != 503:
                return None
            await asyncio.sleep(_WAIT)
    return None


def _content(library: Library, entry: Entry) -> bytes:
    with library.original(entry) as original:
        return original.read()


def _info(name: str, mtime: int) -> zipfile.ZipInfo:
    moment = datetime.fromtimestamp(max(mtime // 10**9, _EARLIEST), UTC)
    info = zipfile.ZipInfo(name, (min(moment.year, 2107), *moment.timetuple()[1:6]))
    info.external_attr = 0o644 << 16
    return info


def _printable(path: str) -> str:
    return path.encode("utf-8", "replace").decode()


class _Sink(io.RawIOBase):
    """A file that cannot be read or sought: it keeps what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        """What was written since the last call."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
