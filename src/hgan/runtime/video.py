"""Videos: three frames of each are read, as photos with a time in the video.

A frame has a path of its own, `clip.mp4#2`, and its bytes are a JPEG, in whose EXIF are the time
and the place that the camera wrote into the video. So everything that reads photos reads frames.

FFmpeg (in PyAV) decodes the videos. It is given an open file, and only formats that contain the
pictures themselves: others, such as playlists, name files and addresses that FFmpeg would open.
"""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from PIL import ExifTags, Image

from hgan.errors import DataError
from hgan.runtime.formats import VIDEO, is_video
from hgan.runtime.memory import DECODING, PHOTO_BYTES
from hgan.runtime.photo_file import open_file

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FRAMES = 3
"""Number of frames of a video that are read, in the middle of each third."""

MIDDLE = 2
"""Number of the frame that stands for a whole video."""

_FORMATS = ("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "flv", "mpeg",
            "mpegts", "asf")  # fmt: skip
_CODED_FRAMES = 24
"""Frames that a decoder holds at the same time, as a limit for its memory."""
_PIXEL_BYTES = _CODED_FRAMES * 3 // 2 + 3
"""Bytes for each pixel to decode a video, and to convert one frame of it."""
_MOST_PIXELS = 3 * PHOTO_BYTES // _PIXEL_BYTES
"""Pixels of a frame at most, 29 million; 4K has 8 million."""
_EDGE = 256
"""Pixels by which decoders enlarge width and height for their own use, at most."""
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


def file_of(path: str) -> str:
    """The path of the file that a photo is in: of the video for a frame, else the path itself."""
    found = video_of(path)
    return path if found is None else found[0]


def clock(moment: float) -> str:
    """A time in a video as players show it: `0:42`, or `1:02:03` from one hour on."""
    minutes, seconds = divmod(int(moment), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def read_frame_at(path: Path) -> Frame | None:
    """Decode the frame with this path, or the middle one for the path of a video; None for a photo.

    Raises:
        DataError: see `read_frame`, and `hgan.runtime.photo_file.open_file`.
    """
    named = str(path)
    video, number = video_of(named) or (named, MIDDLE)
    if not is_video(video):
        return None
    with open_file(Path(video), most=None)[0] as file:
        return read_frame(file, number, video)


def read_frame(file: BinaryIO, number: int, name: str) -> Frame:
    """Decode a frame of a video.

    Args:
        file: the video, open for reading.
        number: number of the frame, from 1 to `FRAMES`.
        name: name in error messages.

    Raises:
        DataError: it is not a video, it is damaged or too large, or PyAV is not installed.
    """
    with _opened(file, name) as (container, stream):
        return _frame(container, stream, number, name)


def frame_size(file: BinaryIO, name: str) -> tuple[int, int]:
    """Width and height of a video in pixels, not turned, without decoding it.

    Raises:
        DataError: an error of `read_frame` that the start of the file shows.
    """
    with _opened(file, name) as (_, stream):
        return stream.width, stream.height


@contextmanager
def _opened(file: BinaryIO, name: str) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    """Open a video of allowed size; whatever the block raises becomes a `DataError`."""
    if not VIDEO.readable:
        raise DataError(f"{name}: a video, which needs PyAV; {VIDEO.advice}")
    import av

    try:
        formats = ",".join(_FORMATS)
        options = {"format_whitelist": formats, "max_pixels": str(_MOST_PIXELS)}
        with av.open(file, "r", options=options, metadata_errors="replace") as container:
            stream = next(iter(container.streams.video), None)
            if stream is None:
                raise DataError(f"{name}: has no pictures, only sound")
            if not 0 < stream.width * stream.height <= _MOST_PIXELS:  # 0 if FFmpeg has refused it
                raise DataError(
                    f"{name}: damaged, or its frames have more than {_MOST_PIXELS:,} pixels; then "
                    "make a smaller copy of it"
                )
            yield container, stream
    except DataError:
        raise
    except Exception as error:  # malicious bytes make decoders raise any exception
        raise DataError(f"{name}: not a video that can be read ({_line(error)})") from error


def _frame(container: "InputContainer", stream: "VideoStream", number: int, name: str) -> Frame:
    pixels = (stream.width + _EDGE) * (stream.height + _EDGE)
    with DECODING.reserve(pixels * _PIXEL_BYTES):
        # The header of the file may say less than the data.
        stream.codec_context.options = {"max_pixels": str(pixels)}
        stream.codec_context.thread_count = 1  # videos are decoded in several threads already
        frame = _decoded(container, stream, number)
        if frame is None:
            raise DataError(f"{name}: damaged, no frame can be decoded")
        picture = Image.fromarray(frame.to_ndarray(format="rgb24")).rotate(
            frame.rotation, expand=True
        )
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=_QUALITY, exif=_exif(container.metadata))
        return Frame(file.getvalue(), max(0.0, float(frame.time or 0.0) - _start(stream)))


def _decoded(
    container: "InputContainer", stream: "VideoStream", number: int
) -> "VideoFrame | None":
    """The first frame after the wanted time, or the last that can be decoded before it."""
    start = _start(stream)
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


def _start(stream: "VideoStream") -> float:
    """The time of the first frame in seconds; some formats do not start at 0."""
    return float((stream.start_time or 0) * (stream.time_base or 0))


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
