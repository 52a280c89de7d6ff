"""Fuzz targets: decode a photo file, and read its metadata."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from PIL import ExifTags, Image

from hgan.runtime import images
from hgan.runtime.images import MAX_PIXELS, media_type, open_photo
from hgan.runtime.memory import BUDGET_BYTES, ByteBudget
from hgan.runtime.metadata.read import read_metadata
from hgan.runtime.metadata.xmp import from_xmp
from tests.fixtures.xmp import DIGIKAM, LIGHTROOM, WINDOWS
from tests.fuzz.files import named, write
from tests.fuzz.harness import MEMORY, Target


class _Reservations(ByteBudget):
    """The budget for decoding; it remembers the largest reservation."""

    largest = 0

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        self.largest = max(self.largest, size)
        with super().reserve(size):
            yield


_RESERVED = _Reservations(BUDGET_BYTES)


def decode(data: bytes) -> None:
    """Decode a photo for viewing and for a model, and find out its media type."""
    path = write("photo", data)
    _RESERVED.largest = 0
    with named(path), mock.patch.object(images, "DECODING", _RESERVED):
        for hint in (32, None):
            photo = open_photo(path, hint)
            assert photo.mode == "RGB" and 0 < photo.width * photo.height <= MAX_PIXELS
        assert media_type(path).startswith("image/")


def metadata(data: bytes) -> None:
    """Read the metadata of a photo, and of one with these bytes as its EXIF and as its IPTC."""
    for photo in (data, _with_segment(0xE1, data), _with_segment(0xED, data)):
        found = read_metadata(photo)
        assert found.camera.isprintable() and len(found.camera) <= 100
        assert len(set(found.tags)) == len(found.tags) <= 100
        assert all(tag.isprintable() and 0 < len(tag) <= 100 for tag in found.tags)
        assert found.rating is None or 0 <= found.rating <= 5
        assert found.position is None or abs(found.position[0]) <= 90
        assert found.taken is None or -(10**11) < found.taken < 10**12


def _with_segment(marker: int, data: bytes) -> bytes:
    """A JPEG with a segment, such as APP1."""
    data = data[: 0xFFFF - 2]
    return b"\xff\xd8\xff" + struct.pack(">BH", marker, len(data) + 2) + data + _saved("JPEG")[2:]


def _photos() -> list[bytes]:
    gray, few, clear = (_small(mode) for mode in ("L", "P", "RGBA"))
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    again = {"save_all": True, "append_images": [_small("RGB").rotate(90)]}
    return [
        _saved("JPEG", exif=turned),
        _saved("JPEG", progressive=True, subsampling=0),
        _saved("JPEG", _small("CMYK")),
        _saved("MPO", **again),
        _saved("PNG", exif=turned),
        _saved("PNG", few, transparency=1),
        _saved("PNG", Image.new("I;16", (9, 7), 30_000)),
        _saved("PNG", clear, **again),
        _saved("GIF", few, transparency=1),
        _saved("GIF", few, **again),
        _saved("WEBP"),
        _saved("WEBP", clear, lossless=True, exif=turned),
        _saved("WEBP", **again),
        _saved("BMP"),
        _saved("BMP", _small("1")),
        _run_lengths(),
        _saved("TIFF", exif=turned),
        _saved("TIFF", Image.new("F", (9, 7), 0.5)),
        *(_saved("TIFF", compression=name) for name in ("tiff_lzw", "tiff_deflate", "jpeg")),
        *(_saved("TIFF", gray, compression=name) for name in ("packbits", "tiff_adobe_deflate")),
        _saved("TIFF", _small("1"), compression="group4"),
        _saved("TIFF", tiles=True),
    ]


def _small(mode: str) -> Image.Image:
    """A photo of 20 x 12 pixels with edges and a gradient."""
    photo = Image.linear_gradient("L").resize((20, 12)).convert("RGB")
    photo.paste((200, 30, 60), (3, 2, 11, 8))
    return photo.convert(mode)


def _saved(form: str, photo: Image.Image | None = None, tiles: bool = False, **more: Any) -> bytes:
    file = io.BytesIO()
    if tiles:
        more["tiffinfo"] = {322: 16, 323: 16}
    (photo or _small("RGB")).save(file, form, **more)
    return file.getvalue()


def _run_lengths() -> bytes:
    """A BMP with run-length encoding, which Pillow does not write."""
    rows = b"\x04\x01\x00\x00" + b"\x00\x04\x01\x00\x01\x00\x00\x00" + b"\x00\x01"
    start = 14 + 40 + 8
    head = struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, 4, 2, 1, 8, 1, len(rows), 0, 0, 2, 2)
    return head + info + bytes(4) + b"\xff\xff\xff\0" + rows


def _metadata() -> list[bytes]:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "SONY", "DSC-W7"
    exif[ExifTags.Base.XPKeywords] = "sea;sun\0".encode("utf-16-le")
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2023:07:14 10:32:05"
    words = b"".join(
        b"\x1c\x02\x19" + struct.pack(">H", len(word)) + word for word in (b"sea", b"\xe9t\xe9")
    )
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(words)) + words
    return [
        exif.tobytes(),
        iptc,
        *(_saved(form, exif=exif) for form in ("JPEG", "PNG", "WEBP", "TIFF")),
        _with_segment(0xED, iptc),
    ]


_XMP_WORDS = (
    '<!DOCTYPE x [<!ENTITY a "b">]>',
    "rdf:Description",
    "rdf:li",
    'rdf:parseType="Resource"',
    "xmp:Rating",
    "exif:GPSLatitude",
    "mwg-rs:Name",
    "encoding=",
    "xmlns:",
)
_WORDS = (
    "\\xff\\xd8\\xff",
    "Exif\\x00\\x00",
    "II*\\x00",
    "MM\\x00*",
    "IHDR",
    "eXIf",
    "RIFF",
    "8BIM",
)


def packet(data: bytes) -> None:
    """Read XMP, which can be a sidecar or in a photo."""
    found = from_xmp(data)
    assert found.rating is None or 0 <= found.rating <= 5
    for words in (found.tags, found.people):
        assert len(set(words)) == len(words) <= 100
        assert all(word.isprintable() and 0 < len(word) <= 100 for word in words)
    if found.position is not None:
        latitude, longitude = found.position
        assert abs(latitude) <= 90 and abs(longitude) <= 180


TARGETS = {
    "photo": Target(
        decode, _photos, _WORDS, longest=2**16, memory=lambda: _RESERVED.largest + MEMORY
    ),
    "exif": Target(metadata, _metadata, _WORDS, longest=2**14),
    "xmp": Target(packet, lambda: [LIGHTROOM, DIGIKAM, WINDOWS], _XMP_WORDS, longest=2**14),
}
