"""Read a photo's metadata: when it was taken, with which camera, and its keywords.

Cameras write EXIF. Photo managers write keywords, mostly in IPTC; Windows writes them in the EXIF
field XPKeywords. Metadata can be damaged or malicious, so nothing here raises errors.
"""

import io
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from PIL import ExifTags, IptcImagePlugin
from PIL.ImageFile import ImageFile

from hgan.runtime.formats import RAW, kind_of, open_image
from hgan.runtime.photo_file import open_file
from hgan.runtime.raw import preview_of

_LONGEST = 100
"""Maximum length of a camera or a tag in characters; longer ones are truncated."""
_MOST_TAGS = 100
"""Maximum number of tags of a photo; further ones are ignored."""

# Pillow warns about damaged fields; a filter around a call is not thread-safe, see images.py.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")

_TIME = re.compile(r"(\d{4})\D(\d\d)\D(\d\d)\D+(\d\d)\D(\d\d)(?:\D(\d\d))?", re.ASCII)
_IPTC_KEYWORDS = (2, 25)
_TURNED = range(5, 9)
"""Orientations with exchanged width and height."""


@dataclass(frozen=True)
class Exif:
    """A photo's metadata; missing values are None or empty."""

    taken: int | None = None
    """Time the photo was taken, in seconds since 1970 by the camera's clock."""
    camera: str = ""
    """Make and model of the camera."""
    tags: tuple[str, ...] = ()
    """Keywords in lower case."""
    width: int = 0
    """Width of the upright photo in pixels."""
    height: int = 0
    """Height of the upright photo in pixels."""


def read_exif(source: Path | bytes, name: str = "photo") -> Exif:
    """The metadata of a photo, given as a file or its bytes; empty if it is damaged.

    Args:
        source: the file, or its bytes.
        name: name of the photo if `source` is bytes; a RAW photo is told by it.
    """
    try:
        name = str(source) if isinstance(source, Path) else name
        raw = kind_of(name) is RAW
        if raw:
            source = preview_of(source, name)
        file = open_file(source)[0] if isinstance(source, Path) else io.BytesIO(source)
        with file, open_image(file, "photo") as photo:
            exif = photo.getexif()
            inner = exif.get_ifd(ExifTags.IFD.Exif)
            windows = exif.get(ExifTags.Base.XPKeywords)
            turned = exif.get(ExifTags.Base.Orientation, 1) in _TURNED
            width, height = photo.size[::-1] if turned else photo.size
            keywords = [*_windows_keywords(windows), *_iptc_keywords(photo)]
    except Exception:  # malicious bytes make decoders raise any exception: struct.error, ...
        return Exif()
    times = [inner.get(ExifTags.Base.DateTimeOriginal), inner.get(ExifTags.Base.DateTimeDigitized)]
    # The preview of a RAW photo may have this time only; in others, it is that of the last change.
    times += [exif.get(ExifTags.Base.DateTime)] if raw else []
    return Exif(_taken(times), _camera(exif), _tags(keywords), width, height)


def clean_tag(tag: str) -> str:
    """A tag as it is stored and compared: lower case, single spaces."""
    return " ".join(tag.lower().split())


def seconds(moment: datetime) -> int:
    """Seconds since 1970 of a local time, as if it were UTC; cameras do not know time zones."""
    return round(moment.replace(tzinfo=UTC).timestamp())


def _taken(times: Iterable[object]) -> int | None:
    """The first of several times that is valid."""
    for time in times:
        found = _TIME.match(_text(time))
        if found:
            year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
            try:
                return seconds(datetime(year, month, day, hour, minute, second))
            except ValueError:  # 0000:00:00, of a camera whose clock was never set
                continue
    return None


def _camera(exif: Mapping[int, object]) -> str:
    """Join make and model: `SONY` and `DSC-W7`; only the model if it includes the make, as in
    `Canon` and `Canon EOS 5D`."""
    make, model = _text(exif.get(ExifTags.Base.Make)), _text(exif.get(ExifTags.Base.Model))
    first = make.split(" ")[0].lower()
    named = model.lower().startswith(first)
    return (model if model and named else f"{make} {model}".strip())[:_LONGEST]


def _tags(keywords: list[str]) -> tuple[str, ...]:
    clean = dict.fromkeys(clean_tag(word)[:_LONGEST] for word in keywords)
    return tuple(word for word in clean if word)[:_MOST_TAGS]


def _windows_keywords(value: object) -> list[str]:
    """Decode XPKeywords: UTF-16, separated by semicolons."""
    if not isinstance(value, bytes):
        return []
    return _text(value.decode("utf-16-le", "replace")).split(";")


def _iptc_keywords(photo: ImageFile) -> Iterator[str]:
    """Decode IPTC keywords: UTF-8 from current programs, Latin-1 from old ones."""
    found = (IptcImagePlugin.getiptcinfo(photo) or {}).get(_IPTC_KEYWORDS, [])
    for word in found if isinstance(found, list) else [found]:
        try:
            yield _text(word.decode("utf-8"))
        except UnicodeDecodeError:
            yield _text(word.decode("latin-1"))


def _text(value: object) -> str:
    """A field as one line of printable text, without padding of zeros and spaces."""
    if not isinstance(value, str):
        return ""
    printable = (c if c.isprintable() else " " for c in value.partition("\0")[0])
    return " ".join("".join(printable).split())
