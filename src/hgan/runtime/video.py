"""Videos: three frames of each are read, as photos with a time in the video.

A frame has a path of its own, `clip.mp4#2`, and its bytes are a JPEG, in whose EXIF are the time and
the place that the camera wrote into the video. So everything that reads photos reads frames too.

FFmpeg (in PyAV) decodes the videos. It is given an open file, and only formats that contain the
pictures themselves: others, such as playlists, name files and addresses that FFmpeg would open.
"""

import io
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from PIL import ExifTags, Image

from hgan.errors import DataError
from hgan.runtime.formats import VIDEO, is_video
from hgan.runtime.memory import DECODING, PHOTO_BYTES

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FRAMES = 3
"""Number of frames of a video that are read, in the middle of each third."""

_FORMATS = ("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "flv", "mpeg",
            "mpegts", "asf")  # fmt: skip
_CODED_FRAMES = 24
"""Frames that a decoder holds at the same time, as a limit for its memory."""
_MOST_PACKETS = 2000
"""Packets that are read after a key frame to reach a time; then the last frame is taken."""
_EARLIER = 10.0
"""Seconds before a wanted time where a key frame is looked for, if there is none just before it."""
_NEAR = 0.1
"""Seconds behind a wanted time at which a first frame is near enough."""
_QUALITY = 95
_FRAME = re.compile(r"(.+)#([1-9])", re.DOTALL)
_PLACE = re.compile(r"([+-]\d{1,2}(?:\.\d+)?)([+-]\d{1,3}(?:\.\d+)?)")
_TIMES = ("com.apple.quicktime.creationdate", "date", "creation_time")
"""Fields with the time of the recording; the first has the camera's local time."""
_PLACES = ("com.apple.quicktime.location.ISO6709", "location", "location-eng")


class Frame(NamedTuple):
    """A frame of a video."""

    data: bytes
    """The frame as a JPEG."""
    moment: float
    """Seconds since the start of the video."""


def frame_paths(path: str) -> list[str]:
    """The paths of the frames of a video, in order of time."""
    return [f"{path}#{number}" for number in range(1, FRAMES + 1)]


def video_of(path: str) -> tuple[str, int] | None:
    """The path of the video that a frame is of, and the number of the frame; None for a photo."""
    match = _FRAME.fullmatch(path)
    if match is None or not is_video(match[1]) or int(match[2]) > FRAMES:
        return None
    return match[1], int(match[2])


def read_frame(file: BinaryIO, number: int, name: str) -> Frame:
    """Decode a frame of a video.

    Args:
        file: the video, open for reading.
        number: number of the frame, from 1 to `FRAMES`.
        name: name in error messages.

    Raises:
        DataError: it is not a video, it is damaged or too large, or PyAV is not installed.
    """
    if not VIDEO.readable:
        raise DataError(f"{name}: a video, which needs PyAV; {VIDEO.advice}")
    import av

    try:
        options = {"format_whitelist": ",".join(_FORMATS)}
        with av.open(file, options=options, metadata_errors="replace") as container:
            return _frame(container, number, name)
    except DataError:
        raise
    except Exception as error:  # malicious bytes make decoders raise any exception
        raise DataError(f"{name}: not a video that can be read ({_line(error)})") from error


def _frame(container: "InputContainer", number: int, name: str) -> Frame:
    stream = next(iter(container.streams.video), None)
    if stream is None:
        raise DataError(f"{name}: has no pictures, only sound")
    needed = stream.width * stream.height * (_CODED_FRAMES * 3 // 2 + 3)
    if needed > PHOTO_BYTES * 3:
        raise DataError(
            f"{name}: {stream.width} x {stream.height} pixels are too many for a video; make a "
            "smaller copy of it"
        )
    with DECODING.reserve(needed):
        stream.codec_context.thread_count = 1  # videos are decoded in several threads already
        frame = _decoded(container, stream, number)
        if frame is None:
            raise DataError(f"{name}: damaged, no frame can be decoded")
        picture = frame.to_image().rotate(frame.rotation, expand=True)
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=_QUALITY, exif=_exif(container.metadata))
        return Frame(file.getvalue(), max(0.0, float(frame.time or 0.0)))


def _decoded(
    container: "InputContainer", stream: "VideoStream", number: int
) -> "VideoFrame | None":
    """The first frame after the wanted time, or the last that can be decoded before it."""
    start = float((stream.start_time or 0) * (stream.time_base or 0))
    wanted = start + _seconds(container, stream) * (2 * number - 1) / (2 * FRAMES)
    last = None
    # Formats without an index are searched by guess, and may go on behind the wanted time.
    for earlier in (0.0, _EARLIER, wanted - start):
        if not _seek(container, wanted - earlier):
            continue
        for position, frame in enumerate(_frames(container, stream)):
            last = frame
            if frame.time is None or frame.time >= wanted:
                if position or not frame.time or frame.time < wanted + _NEAR:
                    return frame
                break
    return last


def _seek(container: "InputContainer", seconds: float) -> bool:
    """Go on at the key frame before this time; returns whether that is possible."""
    try:
        container.seek(round(seconds * 1_000_000))
    except Exception:  # FFmpeg's errors, and numbers that it does not take
        return False
    return True


def _frames(container: "InputContainer", stream: "VideoStream") -> Iterator["VideoFrame"]:
    """Decode frames from here on; a damaged packet is left out."""
    import av

    for count, packet in enumerate(container.demux(stream)):
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue
        if count >= _MOST_PACKETS:
            return


def _seconds(container: "InputContainer", stream: "VideoStream") -> float:
    """The length of a video in seconds; 0 if it is not known."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / 1_000_000


def _exif(metadata: Mapping[str, str]) -> Image.Exif:
    """The time, place and camera of a video, as EXIF of its frames."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = metadata.get("com.apple.quicktime.make", "")
    exif[ExifTags.Base.Model] = metadata.get("com.apple.quicktime.model", "")
    for text in filter(None, map(metadata.get, _TIMES)):
        try:
            taken = datetime.fromisoformat(text)
        except ValueError:
            continue
        inner = exif.get_ifd(ExifTags.IFD.Exif)
        inner[ExifTags.Base.DateTimeOriginal] = taken.strftime("%Y:%m:%d %H:%M:%S")
        break
    for place in filter(None, map(_PLACE.match, filter(None, map(metadata.get, _PLACES)))):
        latitude, longitude = float(place[1]), float(place[2])
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(
            {
                ExifTags.GPS.GPSLatitudeRef: "N" if latitude >= 0 else "S",
                ExifTags.GPS.GPSLatitude: (abs(latitude), 0.0, 0.0),
                ExifTags.GPS.GPSLongitudeRef: "E" if longitude >= 0 else "W",
                ExifTags.GPS.GPSLongitude: (abs(longitude), 0.0, 0.0),
            }
        )
        break
    return exif


def _line(error: Exception) -> str:
    """The message of an error on one line, without the name that FFmpeg adds."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200]

