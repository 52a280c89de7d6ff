"""The clips of Live Photos: short videos that a phone records with each photo, as files of their
own.

They are told from other videos by the boxes of a QuickTime or MP4 file, which say how long it is.
Only the headers of the boxes are read, in microseconds and without FFmpeg: nothing is decoded.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

LONGEST_CLIP = 6.0
"""Seconds of the longest clip; those of Apple have 3, other phones some more."""

_IDENTIFIER = b"com.apple.quicktime.content.identifier"
"""The field by which Apple's clips and photos belong together."""
_METADATA = (b"meta", b"udta")
"""Boxes with metadata: Apple writes the first, FFmpeg the second."""
_MOST_BOXES = 64
"""Boxes that are looked at in a file, or in another box."""
_MOST_METADATA = 2**16
"""Bytes of metadata in which the identifier is looked for; clips have a few hundred."""
_UNKNOWN = (0, 2**32 - 1, 2**64 - 1)
"""Lengths that stand for an unknown one."""


class _Box(NamedTuple):
    """A box of a file: where its content starts and ends."""

    kind: bytes
    start: int
    end: int


def is_clip(file: BinaryIO) -> bool:
    """Whether a video may be the clip of a Live Photo: at most `LONGEST_CLIP` seconds long, or with
    Apple's identifier.

    False for other formats than QuickTime and MP4, and for damaged files.

    Args:
        file: the video, open for reading.

    Raises:
        OSError: it cannot be read.
    """
    size = file.seek(0, 2)
    movie = next((box for box in _boxes(file, 0, size) if box.kind == b"moov"), None)
    if movie is None:
        return False
    for box in _boxes(file, movie.start, movie.end):
        if box.kind == b"mvhd" and _seconds(file, box) <= LONGEST_CLIP:
            return True
        if box.kind in _METADATA and _IDENTIFIER in _content(file, box, _MOST_METADATA):
            return True
    return False


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[_Box]:
    """The boxes between two places of a file, up to the first that is damaged."""
    for _ in range(_MOST_BOXES):
        file.seek(start)
        header = file.read(16)
        size, kind, content = int.from_bytes(header[:4], "big"), header[4:8], start + 8
        if size == 0:  # up to the end
            size = end - start
        elif size == 1:  # the size follows, as it does not fit
            size, content = int.from_bytes(header[8:16], "big"), start + 16
        if len(kind) < 4 or content > start + size or start + size > end:
            return
        yield _Box(kind, content, start + size)
        start += size


def _seconds(file: BinaryIO, box: _Box) -> float:
    """The length in the header of a movie; infinite if it is not known."""
    data = _content(file, box, 32)
    # After a version, flags and two times: ticks in a second, and ticks.
    width, place = (8, 20) if data[:1] == b"\x01" else (4, 12)
    rate = int.from_bytes(data[place : place + 4], "big")
    ticks = int.from_bytes(data[place + 4 : place + 4 + width], "big")
    if rate == 0 or ticks in _UNKNOWN:
        return float("inf")
    return ticks / rate


def _content(file: BinaryIO, box: _Box, most: int) -> bytes:
    file.seek(box.start)
    return file.read(min(most, box.end - box.start))
