"""Convert photos in any form to the pixels that a model reads: decode safely, rotate, resize.

Training, indexing and searching all use this, so a photo has the same pixels everywhere.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, WebPImagePlugin

from hgan.errors import DataError
from hgan.runtime.decoding_cost import decoding_bytes
from hgan.runtime.formats import RAW, RAW_TYPE, kind_of, open_image, type_of
from hgan.runtime.memory import DECODING, PHOTO_BYTES
from hgan.runtime.photo_file import open_file, read_file
from hgan.runtime.raw import preview_of
from hgan.runtime.video import file_of, frame_size, read_frame_at

MAX_PIXELS = 100_000_000
"""Photos with more pixels are rejected before they are decoded (decompression bombs)."""

_STRIP_PIXELS = 2**19
"""Number of pixels that are converted together."""
_MAX_SHRINK = 16
"""Photos are reduced at most by this factor before they are resized."""

# Pillow warns at a size below MAX_PIXELS, which is still allowed. (A filter around a single call
# would not be thread-safe: filters belong to the process, and photos are decoded in threads.)
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

PhotoSource = Path | str | bytes | Image.Image | np.ndarray
"""A photo file, a video or a frame of one (`clip.mp4#2`), the bytes of a photo, an image, or a
uint8 array (H, W, 3) or (H, W)."""


class TooSmallError(DataError):
    """A photo has fewer pixels than its caller asks for."""


def open_photo(
    source: Path | bytes, hint: int | None = None, name: str = "photo", least: int = 1
) -> Image.Image:
    """Decode a photo of any mode to upright 8-bit RGB.

    Grayscale, palette, CMYK and 16-bit photos are converted, transparency becomes white, EXIF
    rotation is applied, and an animation is read as its first frame.

    Args:
        source: a file, or the bytes of one; a frame of a video is given by its path, see
            `hgan.runtime.video`.
        hint: side of the square that the photo will be resized to. A larger photo is decoded
            at a smaller scale, or reduced, to at least twice this size, and needs less memory.
        name: name of the photo if `source` is bytes, for error messages; and a RAW photo is told
            by it.
        least: minimum number of pixels at each side.

    Raises:
        TooSmallError: a side has fewer than `least` pixels.
        DataError: the photo is missing, empty, truncated, too large, or not a photo; or decoding
            it needs more memory than `PHOTO_BYTES`.
    """
    if isinstance(source, Path):
        frame = read_frame_at(source)
        name, source = str(source), read_file(source)[0] if frame is None else frame.data
    held = 0
    if kind_of(name) is RAW:
        held, source = len(source), preview_of(source, name)
    with _opened(io.BytesIO(source), name, least) as photo:
        return _convert(photo, hint, source, name, held)


def check_photo(path: Path, least: int = 1) -> None:
    """Raise the errors of `open_photo` that the start of a file shows, without decoding it.

    Raises:
        TooSmallError: a side has fewer than `least` pixels.
        DataError: the photo is missing, empty, too large, or not a photo.
    """
    if (video := Path(file_of(str(path)))) != path:
        with open_file(video, most=None)[0] as file:
            _check_sides(frame_size(file, str(video)), least, str(video))
        return
    with open_file(path)[0] as file:
        start = io.BytesIO(preview_of(path, str(path))) if kind_of(path.name) is RAW else file
        with _opened(start, str(path), least):
            pass


@contextmanager
def _opened(file: BinaryIO, name: str, least: int) -> Iterator[Image.Image]:
    """Open a photo of allowed size; whatever the block raises becomes a `DataError`."""
    try:
        with open_image(file, name) as photo:
            if photo.width * photo.height > MAX_PIXELS:
                raise DataError(
                    f"{name}: {photo.width} x {photo.height} pixels is more than the limit of "
                    f"{MAX_PIXELS:,}; make a smaller copy of it"
                )
            _check_sides(photo.size, least, name)
            yield photo
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: not a photo in a supported format") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{name}: too large, {error}") from error
    except Exception as error:  # malicious bytes make decoders raise any exception
        raise DataError(f"{name}: cannot be decoded ({error})") from error


def _check_sides(size: tuple[int, int], least: int, name: str) -> None:
    if min(size) < least:
        raise TooSmallError(
            f"{name}: {size[0]} x {size[1]} pixels; at least {least} at each side are needed"
        )


def media_type(source: Path | bytes | BinaryIO, name: str = "photo") -> str:
    """The media type of a photo, such as `image/jpeg`, by its content and not by its name.

    Args:
        source: a file, its bytes, or an open file, which stays open.
        name: see `open_photo`.

    Raises:
        DataError: the source is not a photo, or its file cannot be read.
    """
    name = str(source) if isinstance(source, Path) else name
    try:
        if kind_of(name) is RAW:
            preview_of(source if isinstance(source, Path | bytes) else source.read(), name)
            return RAW_TYPE
        with _file_of(source) as file, open_image(file, name) as photo:
            return type_of(photo)
    except DataError:
        raise
    except Exception as error:  # malicious bytes make decoders raise any exception
        raise DataError(f"{name}: not a photo in a supported format") from error


def _file_of(source: Path | bytes | BinaryIO) -> AbstractContextManager[BinaryIO]:
    if isinstance(source, Path):
        return open_file(source)[0]
    return io.BytesIO(source) if isinstance(source, bytes) else nullcontext(source)


def read_photo(photo: PhotoSource, hint: int | None = None, name: str = "photo") -> Image.Image:
    """Decode a photo in any supported form; see `open_photo`.

    Raises:
        DataError: the photo cannot be read, or the argument is not a photo.
    """
    if isinstance(photo, str) and photo.startswith(("http://", "https://")):
        raise DataError(f"{photo}: URLs are not supported; download the photo and pass its bytes")
    if isinstance(photo, bytes | str | Path):
        return open_photo(photo if isinstance(photo, bytes) else Path(photo), hint, name)
    if isinstance(photo, np.ndarray):
        photo = _from_array(photo)
    if not isinstance(photo, Image.Image):
        raise DataError(not_a_photo(photo))
    try:
        converted = _convert(photo, hint)
        return photo.copy() if converted is photo else converted
    except DataError:
        raise
    except Exception as error:  # an opened image may be decoded only now
        raise DataError(f"photo: cannot be decoded ({error})") from error


def not_a_photo(given: object) -> str:
    """The message for an object that is not a photo."""
    kind = type(given)
    if kind.__module__.split(".")[0] == "torch":
        return "a torch tensor is not a photo; pass a uint8 array (height, width, 3)"
    return (
        f"{kind.__name__} is not a photo; pass a path, bytes, a PIL image, a uint8 array "
        "(height, width, 3), or a list of these"
    )


def _from_array(array: np.ndarray) -> Image.Image:
    """Convert an array to an image: (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA."""
    expected = "a photo as an array is uint8 (height, width, 3), with values from 0 to 255"
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (3, 4):
        raise DataError(
            f"{expected}, not {array.shape}; move the channels last: array.transpose(1, 2, 0)"
        )
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or not array.size:
        raise DataError(f"{expected}, not {array.shape}")
    if array.dtype != np.uint8:
        raise DataError(f"{expected}, not {array.dtype}; scale it and convert it to uint8")
    return Image.fromarray(array)


def _convert(
    photo: Image.Image,
    hint: int | None,
    data: bytes = b"",
    name: str = "photo",
    held: int = 0,
) -> Image.Image:
    """Decode an opened photo within the budget of the process, and convert it to upright RGB.

    Args:
        photo: the photo. If there is `data`, it must not be used afterwards.
        hint: see `open_photo`.
        data: the file of the photo; its memory is limited only if there is one.
        name: the name in error messages.
        held: number of bytes of the file that contains `data`.
    """
    width, height = photo.size
    if hint is not None and data and photo.format in ("JPEG", "MPO"):  # not HEIC's thumbnails
        photo.draft("RGB", (2 * hint, 2 * hint))
    shrink = _shrink(photo.size, hint)
    plain = shrink == 1 and _is_rgb(photo)
    needed = held + decoding_bytes(
        photo,
        data,
        full=width * height,
        strip=0 if plain else max(_STRIP_PIXELS, shrink * max(photo.size)),
        result=0 if plain else -(-photo.width // shrink) * -(-photo.height // shrink),
    )
    if data and needed > PHOTO_BYTES:
        raise DataError(
            f"{name}: {width} x {height} pixels as {photo.format} need {needed // 10**6:,} MB of "
            f"memory, more than the limit of {PHOTO_BYTES // 10**6} MB; make a smaller copy of it, "
            "or save it as a JPEG"
        )
    with DECODING.reserve(needed):
        converted = None
        try:
            decoded = _decode(photo) if data else photo
            decoded.load()
            orientation = photo.getexif().get(ExifTags.Base.Orientation, 1)
            converted = decoded if plain else _in_strips(decoded, shrink)
            if orientation != 1:
                converted = _turned(converted, orientation)
            return converted
        finally:
            if data and converted is not photo:
                photo.close()  # frees its memory before the reservation ends


def _shrink(size: tuple[int, int], hint: int | None) -> int:
    """The factor by which a photo can be reduced, so that it stays twice as large as needed."""
    return 1 if hint is None else max(1, min(_MAX_SHRINK, min(size) // (2 * hint)))


def _decode(photo: Image.Image) -> Image.Image:
    """Decode an opened photo. A WebP photo becomes another image, and must not be used again."""
    if not isinstance(photo, WebPImagePlugin.WebPImageFile):
        photo.load()
        return photo
    # As `load` does, but the decoder is freed before the pixels are copied.
    frame = photo._decoder.get_next()
    if frame is None:
        raise OSError("damaged WebP data")
    del photo._decoder
    return Image.frombytes(photo.mode, photo.size, frame[0], "raw", photo.rawmode)


def _in_strips(photo: Image.Image, shrink: int) -> Image.Image:
    """Convert a decoded photo to RGB and reduce it, a few lines at a time."""
    width, height = photo.size
    rows = shrink * max(1, _STRIP_PIXELS // max(1, shrink * width))
    strips = [(0, top, width, min(top + rows, height)) for top in range(0, height, rows)]
    white = _white(photo, strips)
    converted = Image.new("RGB", (-(-width // shrink), -(-height // shrink)))
    for strip in strips:
        part = _to_rgb(photo.crop(strip), white)
        converted.paste(part.reduce(shrink) if shrink > 1 else part, (0, strip[1] // shrink))
    return converted


def _turned(photo: Image.Image, orientation: int) -> Image.Image:
    """Rotate a photo by the orientation of its EXIF."""
    photo.getexif()[ExifTags.Base.Orientation] = orientation
    return ImageOps.exif_transpose(photo)


def _is_rgb(photo: Image.Image) -> bool:
    return photo.mode == "RGB" and "transparency" not in photo.info


def _to_rgb(photo: Image.Image, white: float) -> Image.Image:
    """Convert an image of any mode to 8-bit RGB; transparency becomes white.

    Args:
        photo: the image.
        white: the value of white, if a value has more than 8 bits.
    """
    if photo.mode.startswith(("I", "F")):
        values = np.rint(_values(photo) * (255.0 / white)).clip(0, 255)
        photo = Image.fromarray(values.astype(np.uint8))
    if photo.mode in ("RGBA", "LA", "PA") or "transparency" in photo.info:
        photo = photo.convert("RGBA")
        background = Image.new("RGBA", photo.size, (255, 255, 255, 255))
        photo = Image.alpha_composite(background, photo)
    return photo.convert("RGB")


def _values(photo: Image.Image) -> np.ndarray:
    """The values of a photo with one channel of more than 8 bits, float32."""
    return np.nan_to_num(np.asarray(photo, dtype=np.float32), posinf=0.0)


def _white(photo: Image.Image, strips: list[tuple[int, int, int, int]]) -> float:
    """The value of white. For 32 bits there is no standard one, so it is the smallest usual one
    that fits the largest value in the photo."""
    if photo.mode not in ("I", "F"):
        return 65535.0 if photo.mode.startswith("I;16") else 255.0
    top = max(_values(photo.crop(strip)).max() for strip in strips)
    return 1.0 if photo.mode == "F" and top <= 1 else 255.0 if top <= 255 else 65535.0
