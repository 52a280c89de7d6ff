"""The kinds of files that contain photos or videos, what reads each, and how a photo is opened.

Pillow reads most photos. Other kinds need a package of an extra: without it, files of this kind are
counted and listed, and `Kind.advice` is the line that installs it.
"""

import io
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import PurePath
from typing import BinaryIO

from PIL import Image, ImageFile

from hgan.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""Formats that Pillow reads here, a subset of Pillow's: some others, such as EPS, run external
programs."""


@dataclass(frozen=True)
class Kind:
    """A kind of files that contain photos."""

    name: str
    """Its name in messages, in the plural."""
    suffixes: frozenset[str]
    """File name suffixes, in lower case."""
    extra: str = ""
    """The extra of this package with what reads these files; empty if nothing else is needed."""
    module: str = ""
    """The module of that extra."""

    @property
    def readable(self) -> bool:
        """Whether files of this kind can be read in this installation."""
        return not self.module or is_installed(self.module)

    @property
    def advice(self) -> str:
        """The command that makes these files readable."""
        return f"pip install 'hgan[{self.extra}]'"


PHOTO = Kind(
    "photos",
    frozenset(
        {
            ".avif",
            ".bmp",
            ".gif",
            ".jfif",
            ".jpeg",
            ".jpg",
            ".png",
            ".tif",
            ".tiff",
            ".webp",
        }
    ),
)
HEIC = Kind("HEIC photos", frozenset({".heic", ".heif", ".hif"}), "heif", "pillow_heif")
RAW = Kind(
    "RAW photos",
    frozenset(
        {
            ".3fr",
            ".arw",
            ".cr2",
            ".cr3",
            ".crw",
            ".dcr",
            ".dng",
            ".erf",
            ".fff",
            ".iiq",
            ".kdc",
            ".mef",
            ".mos",
            ".mrw",
            ".nef",
            ".nrw",
            ".orf",
            ".pef",
            ".raf",
            ".rw2",
            ".rwl",
            ".sr2",
            ".srf",
            ".srw",
            ".x3f",
        }
    ),
    "raw",
    "rawpy",
)
"""Read by the preview in them, see `hgan.runtime.raw`."""

VIDEO = Kind(
    "videos",
    frozenset(
        {
            ".3gp",
            ".avi",
            ".flv",
            ".m2ts",
            ".m4v",
            ".mkv",
            ".mov",
            ".mp4",
            ".mpeg",
            ".mpg",
            ".mts",
            ".webm",
            ".wmv",
        }
    ),
    "video",
    "av",
)
"""Read as three frames, see `hgan.runtime.video`."""

KINDS = (PHOTO, HEIC, RAW)
"""The kinds of files with one photo each."""

RAW_TYPE = "image/x-dcraw"
"""The media type of RAW photos of all cameras."""

_BY_SUFFIX = {suffix: kind for kind in KINDS for suffix in kind.suffixes}
_HEVC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_SHARED_BRANDS = {b"mif1", b"msf1"}
"""Brands of HEIC and AVIF files alike."""
_LONGEST_BRANDS = 256
"""Bytes of a file in which its brands are looked for."""


@cache
def is_installed(module: str) -> bool:
    """Whether a module can be imported, without importing it."""
    return find_spec(module) is not None


def kind_of(name: str) -> Kind | None:
    """The kind of a file by its name; None if it is not the name of a file with photos."""
    return _BY_SUFFIX.get(PurePath(name).suffix.lower())


def is_video(name: str) -> bool:
    """Whether this is the name of a video."""
    return PurePath(name).suffix.lower() in VIDEO.suffixes


def readable_suffixes() -> list[str]:
    """The suffixes of files that this installation reads, sorted."""
    return sorted(suffix for kind in (*KINDS, VIDEO) if kind.readable for suffix in kind.suffixes)


def named_type(name: str) -> str | None:
    """The media type that a file name promises, such as `image/jpeg`; None if no single one."""
    match kind_of(name):
        case kind if kind is PHOTO:
            return Image.MIME[Image.registered_extensions()[PurePath(name).suffix.lower()]]
        case kind if kind is HEIC:
            return "image/heic"
        case kind if kind is RAW:
            return RAW_TYPE
    return None


def type_of(photo: Image.Image) -> str:
    """The media type of an opened photo, such as `image/jpeg`."""
    if photo.format == "HEIF":
        return "image/heic"
    # Some cameras store several JPEGs in one file; the first one is read.
    return Image.MIME["JPEG" if photo.format == "MPO" else photo.format or ""]


def open_image(file: BinaryIO, name: str) -> ImageFile.ImageFile:
    """Open a photo in a format that Pillow or its HEIC plugin reads; it is not decoded yet.

    Args:
        file: the file; it must stay open until the photo is decoded.
        name: name in the error message.

    Raises:
        DataError: it is an HEIC photo, and the plugin is not installed.
        Exception: it is not a photo, or damaged: decoders raise exceptions of any class.
    """
    start = file.read(_LONGEST_BRANDS)
    file.seek(0)
    if start[4:12] == b"ftypavis":  # an animation; the picture that stands for it is read
        file = io.BytesIO(file.read().replace(b"ftypavis", b"ftypavif", 1))
    if not _is_heic(start):
        return Image.open(file, formats=FORMATS)
    if not HEIC.readable:
        raise DataError(f"{name}: an HEIC photo, which needs pillow-heif; {HEIC.advice}")
    from pillow_heif import HeifImageFile

    # Not registered in Pillow, whose registry belongs to the whole process.
    return HeifImageFile(file)  # type: ignore[no-untyped-call]


def _is_heic(start: bytes) -> bool:
    """Whether a file with this start is an HEIC photo, by the brands of its first box."""
    if start[4:8] != b"ftyp":
        return False
    box = start[8 : int.from_bytes(start[:4], "big")]
    major, compatible = box[:4], {box[at : at + 4] for at in range(8, len(box), 4)}
    if major in _SHARED_BRANDS:
        return not compatible & {b"avif", b"avis"}
    return major in _HEVC_BRANDS
