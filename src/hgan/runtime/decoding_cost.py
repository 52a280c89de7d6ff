"""The memory in bytes that a photo needs while it is decoded and converted, before it is decoded.

Formats differ: a WebP decoder keeps two canvases, a progressive JPEG all its coefficients.
"""

from PIL import ExifTags, Image, JpegImagePlugin, TiffImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from hgan.runtime.av1 import largest_av1

RGB_BYTES = 4
"""Pillow stores RGB, like all modes of several channels, in four bytes per pixel."""

_CONVERTING_BYTES = 24
"""Bytes per pixel of all copies of a strip that is converted."""


def decoding_bytes(photo: Image.Image, data: bytes, full: int, strip: int, result: int) -> int:
    """The bytes that a photo needs at the same time, at most, until it is converted.

    Args:
        photo: the photo, opened but not decoded; for a JPEG, after `draft`.
        data: its file; empty if it is not known.
        full: number of pixels of the photo before `draft`.
        strip: number of pixels that are converted together.
        result: number of pixels of the converted photo, before it is rotated.
    """
    decoded = photo.width * photo.height * _pixel_bytes(photo.mode)
    turned = _may_be_turned(photo, data)
    converting = strip * _CONVERTING_BYTES + result * RGB_BYTES
    if turned:
        converting += max(result, full if not result else 0) * RGB_BYTES
    decoding = _decoder_bytes(photo, data, full, decoded, turned)
    return len(data) + decoded + max(decoding, converting)


def _may_be_turned(photo: Image.Image, data: bytes) -> bool:
    """Whether EXIF may say that the photo is rotated."""
    if photo.format == "PNG":  # `getexif` would decode it, as EXIF may follow the pixels
        return b"eXIf" in data or any("exif" in str(key) for key in photo.info)
    return photo.getexif().get(ExifTags.Base.Orientation, 1) != 1


def _pixel_bytes(mode: str) -> int:
    return {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}.get(mode, 4)


def _decoder_bytes(photo: Image.Image, data: bytes, full: int, decoded: int, turned: bool) -> int:
    """The memory of the decoder, in addition to the file and the decoded pixels."""
    match photo.format:
        case "WEBP":
            return 2 * len(data) + 8 * full  # copies of the file, two canvases
        case "JPEG" | "MPO" if isinstance(photo, JpegImagePlugin.JpegImageFile):
            return _coefficient_bytes(photo, data, full)
        case "TIFF" if isinstance(photo, TiffImagePlugin.TiffImageFile):
            block = _block_bytes(photo.tag_v2, photo.width, photo.height)
            return len(data) + block + (decoded if turned else 0)
        case "PNG" if getattr(photo, "is_animated", False):
            return 2 * decoded
        case "AVIF" if data:
            return 2 * len(data) + _avif_bytes(photo, data)
        case "HEIF":
            return 2 * len(data) + _heic_bytes(photo, decoded)
        case "GIF" | "BMP":  # a canvas; run-length encoded BMPs in Python
            return 3 * full
    return 0


def _avif_bytes(photo: Image.Image, data: bytes) -> int:
    """The AV1 image, its transparency, a copy with the channels of the photo, and what dav1d needs.

    Raises:
        ValueError: the size of the AV1 image cannot be found.
    """
    coded, bands = largest_av1(data), len(photo.getbands())
    clear = coded.pixels * (2 if coded.deep else 1) if bands in (2, 4) else 0
    return coded.bytes + clear + photo.width * photo.height * bands + 5 * coded.pixels // 4


def _heic_bytes(photo: Image.Image, decoded: int) -> int:
    """What libheif needs, as measured: the HEVC image and its conversion to RGB, which ends before
    the pixels are copied.

    Chroma and depth are those that the file claims. If they are others, libheif refuses the photo,
    but after it has needed up to twice as much.
    """
    pixels, bands = photo.width * photo.height, len(photo.getbands())
    deep = photo.info.get("bit_depth", 8) > 8
    full = photo.info.get("chroma") in (422, 444)
    samples = pixels * ((6 if full else 3) + 2 * (bands in (2, 4))) // 2
    most = samples * (1 + deep) + pixels * bands
    most += pixels * bands * (1 + deep) if full else samples * deep
    return max(most - decoded, pixels * bands) + pixels // 2


def _coefficient_bytes(photo: JpegImagePlugin.JpegImageFile, data: bytes, full: int) -> int:
    """Two bytes for each sample of a JPEG that stores its pixels in several scans, as progressive
    ones do; for the others, the decoder keeps a few lines only."""
    if not photo.info.get("progressive") and _channels_of_first_scan(data) == len(photo.layer):
        return 0
    samples = sum(across * down for _, across, down, _ in photo.layer)
    block = max(layer[1] for layer in photo.layer) * max(layer[2] for layer in photo.layer)
    return 2 * full * samples // max(1, block)


def _channels_of_first_scan(data: bytes) -> int:
    """The number of channels in the first scan of a JPEG; 0 if it is not found."""
    place = 2
    while data[place : place + 1] == b"\xff" and place + 4 < len(data):
        marker = data[place + 1]
        if marker == 0xDA:
            return data[place + 4]
        filling = marker == 0xFF
        place += 1 if filling else 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return 0


def _block_bytes(tags: ImageFileDirectory_v2, width: int, height: int) -> int:
    """The size of the largest strip or tile of a TIFF, which is decoded as a whole."""
    bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    samples = max(1, int(tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)))
    deepest = max((int(one) for one in bits), default=1)
    if TiffImagePlugin.TILEWIDTH in tags:
        pixels = int(tags[TiffImagePlugin.TILEWIDTH]) * int(tags[TiffImagePlugin.TILELENGTH])
    else:
        pixels = width * min(height, int(tags.get(TiffImagePlugin.ROWSPERSTRIP, height)))
    return max(0, pixels) * (samples * deepest // 8 + RGB_BYTES)
