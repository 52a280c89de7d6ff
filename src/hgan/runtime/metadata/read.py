"""Read the metadata of a photo from all places: sidecars, EXIF, XMP and IPTC.

A sidecar was written last, on purpose, and is believed first. Metadata can be damaged or malicious,
so a photo's own never raises an error; it is then empty.
"""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile

from hgan.errors import DataError
from hgan.runtime.formats import RAW, kind_of, open_image
from hgan.runtime.metadata.exif import from_exif, upright_size
from hgan.runtime.metadata.iptc import from_iptc
from hgan.runtime.metadata.types import Metadata, joined
from hgan.runtime.metadata.xmp import from_xmp
from hgan.runtime.photo_file import open_file
from hgan.runtime.raw import preview_of


def read_metadata(
    source: Path | bytes, name: str = "photo", sidecars: Sequence[Metadata] = ()
) -> Metadata:
    """The metadata of a photo; empty if it has none, or is damaged.

    Args:
        source: the file, or its bytes.
        name: name of the photo if `source` is bytes; a RAW photo is told by it.
        sidecars: the metadata of its sidecars, see `hgan.runtime.metadata.xmp`.
    """
    name = str(source) if isinstance(source, Path) else name
    raw = kind_of(name) is RAW
    own: list[Metadata] = []
    if raw:
        own.append(_raw_header(source))
    try:
        file = _file(preview_of(source, name) if raw else source)
        with file, open_image(file, "photo") as photo:
            own += _in_photo(photo, raw)
    except Exception:  # malicious bytes make decoders raise any exception: struct.error, ...
        own = []
    return joined([*sidecars, *own])


def _in_photo(photo: ImageFile, raw: bool) -> list[Metadata]:
    """What the places in an opened photo say, the one that is believed first at the front."""
    exif = photo.getexif()
    width, height = upright_size(photo, exif)
    found = replace(from_exif(exif, any_time=raw), width=width, height=height)
    own = _xmp(photo.info.get("xmp"))
    # Stars in EXIF are those of Windows; other programs change those in XMP only.
    return [Metadata(rating=own.rating), found, own, from_iptc(photo)]


def _raw_header(source: Path | bytes) -> Metadata:
    """The metadata of a RAW photo itself: most kinds are TIFF files, and cameras put the position,
    and programs the XMP, only there. Empty for other kinds."""
    try:
        with _file(source) as file:
            exif = Image.Exif()
            exif.load_from_fp(file)
            own = _xmp(exif.get(ExifTags.Base.XMLPacket))
            return joined([Metadata(rating=own.rating), from_exif(exif), own])
    except Exception:  # as above
        return Metadata()


def _xmp(packet: object) -> Metadata:
    """The metadata in the XMP of a photo; empty if it is damaged."""
    if isinstance(packet, str):
        packet = packet.encode("utf-8", "replace")
    if isinstance(packet, tuple):  # a field of numbers
        packet = bytes(packet)
    try:
        return from_xmp(packet) if isinstance(packet, bytes) else Metadata()
    except DataError:
        return Metadata()


def _file(source: Path | bytes) -> BinaryIO:
    return open_file(source)[0] if isinstance(source, Path) else io.BytesIO(source)
