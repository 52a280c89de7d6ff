"""Metadata in EXIF, as cameras write it; Windows adds keywords and stars."""

import warnings
from collections.abc import Mapping

from PIL import ExifTags, Image

from hgan.runtime.metadata.gps import exif_position
from hgan.runtime.metadata.rating import stars
from hgan.runtime.metadata.text import LONGEST, clean_tags, first_time, line
from hgan.runtime.metadata.types import Metadata

# Pillow warns about damaged fields; a filter around a call is not thread-safe, see images.py.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")

_TURNED = range(5, 9)
"""Orientations with exchanged width and height."""


def from_exif(exif: Image.Exif, any_time: bool = False) -> Metadata:
    """The metadata in EXIF.

    Args:
        exif: all fields.
        any_time: whether the time of the last change stands in for others; the preview of a RAW
            photo may have this one only.
    """
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    times = [inner.get(ExifTags.Base.DateTimeOriginal), inner.get(ExifTags.Base.DateTimeDigitized)]
    times += [exif.get(ExifTags.Base.DateTime)] if any_time else []
    return Metadata(
        taken=first_time(times),
        camera=_camera(exif),
        tags=clean_tags(_windows_keywords(exif.get(ExifTags.Base.XPKeywords))),
        rating=stars(exif.get(ExifTags.Base.Rating)),
        position=exif_position(exif.get_ifd(ExifTags.IFD.GPSInfo)),
    )


def upright_size(photo: Image.Image, exif: Image.Exif) -> tuple[int, int]:
    """Width and height of a photo in pixels, after it is turned as its EXIF says."""
    turned = exif.get(ExifTags.Base.Orientation, 1) in _TURNED
    width, height = photo.size
    return (height, width) if turned else (width, height)


def _camera(exif: Mapping[int, object]) -> str:
    """Join make and model: `SONY` and `DSC-W7`; only the model if it includes the make, as in
    `Canon` and `Canon EOS 5D`."""
    make, model = line(exif.get(ExifTags.Base.Make)), line(exif.get(ExifTags.Base.Model))
    first = make.split(" ")[0].lower()
    named = model.lower().startswith(first)
    return (model if model and named else f"{make} {model}".strip())[:LONGEST]


def _windows_keywords(value: object) -> list[str]:
    """Decode XPKeywords: UTF-16, separated by semicolons."""
    if not isinstance(value, bytes):
        return []
    return line(value.decode("utf-16-le", "replace")).split(";")
