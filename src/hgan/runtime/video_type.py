"""The media type of a video, by the start of its file, so that it can be sent to a browser."""

from typing import BinaryIO

from hgan.errors import DataError

_START = 512
"""Bytes of a file that show its format."""
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"udta")
"""Names of boxes with which QuickTime and MP4 files begin."""
_EBML = b"\x1a\x45\xdf\xa3"
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_PACKET = 188
"""Bytes of a packet of an MPEG transport stream, each of which begins with `_SYNC`."""
_SYNC = 0x47


def video_type(file: BinaryIO, name: str) -> str:
    """The media type of a video, such as `video/mp4`, by its content and not by its name.

    Args:
        file: an open file, which stays open.
        name: name in the error message.

    Raises:
        DataError: it does not begin as a video does, or cannot be read.
    """
    try:
        file.seek(0)
        start = file.read(_START)
        file.seek(0)
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror or error})") from error
    found = _by_name_of_box(start) or _by_signature(start)
    if found is None:
        raise DataError(f"{name}: not a video in a supported format")
    return found


def _by_name_of_box(start: bytes) -> str | None:
    """The type of a QuickTime, MP4 or 3GP file, by the brand in its first box."""
    if start[4:8] not in _BOXES:
        return None
    brand = start[8:12] if start[4:8] == b"ftyp" else b"qt  "  # QuickTime needs no brand
    if brand == b"qt  ":
        return "video/quicktime"
    return "video/3gpp" if brand[:2] == b"3g" else "video/mp4"


def _by_signature(start: bytes) -> str | None:
    if start.startswith(_EBML):
        return "video/webm" if b"webm" in start[:64] else "video/x-matroska"
    if start.startswith(b"RIFF") and start[8:12] == b"AVI ":
        return "video/x-msvideo"
    if start.startswith(b"FLV\x01"):
        return "video/x-flv"
    if start.startswith((b"\0\0\x01\xba", b"\0\0\x01\xb3")):
        return "video/mpeg"
    if start.startswith(_ASF):
        return "video/x-ms-wmv"
    # Cameras write four bytes with a time before each packet.
    for places in (range(0, _START, _PACKET), range(4, _START, _PACKET + 4)):
        if len(start) == _START and all(start[at] == _SYNC for at in places):
            return "video/mp2t"
    return None
