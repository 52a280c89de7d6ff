"""Metadata of photos, in every place where it can be, and in damaged photos."""

import struct
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from hgan.runtime.metadata.read import read_metadata
from hgan.runtime.metadata.types import Metadata

Base = ExifTags.Base


def photo(path: Path, values: dict[int, object], taken: str | None = None, **more: object) -> Path:
    """A photo with EXIF fields."""
    exif = Image.Exif()
    exif.update(values)
    if taken is not None:
        inner = exif.get_ifd(ExifTags.IFD.Exif)
        inner[Base.DateTimeOriginal] = taken
        exif[ExifTags.IFD.Exif] = inner  # TIFF files want it said
    Image.new("RGB", (16, 12), (200, 100, 50)).save(path, exif=exif, **more)
    return path


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_time_camera_and_keywords(tmp_path, suffix):
    values = {
        Base.Make: "SONY\0",
        Base.Model: "DSC-W7 \0\0",
        Base.XPKeywords: "Beach;Été;beach\0".encode("utf-16-le"),
    }
    found = read_metadata(photo(tmp_path / f"photo.{suffix}", values, "2023:07:14 10:32:05"))
    assert found == Metadata(
        at(2023, 7, 14, 10, 32, 5), "SONY DSC-W7", ("beach", "été"), width=16, height=12
    )


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("OLYMPUS  OPTICAL CO.,LTD", "C900Z", "OLYMPUS OPTICAL CO.,LTD C900Z"),
        ("Apple", "", "Apple"),
        ("", "Pixel 9", "Pixel 9"),
        ("", "", ""),
        ("A\x07\nB", "C" * 500, "A B " + "C" * 96),
    ],
)
def test_camera(tmp_path, make, model, camera):
    file = photo(tmp_path / "a.jpg", {Base.Make: make, Base.Model: model})
    assert read_metadata(file).camera == camera


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("2023-07-14T10:32", at(2023, 7, 14, 10, 32)),
        ("1969:12:31 23:59:59", -1),
        ("0000:00:00 00:00:00", None),
        ("2023:02:30 10:00:00", None),
        ("    :  :     :  :  ", None),
        ("yesterday", None),
    ],
)
def test_time(tmp_path, text, taken):
    assert read_metadata(photo(tmp_path / "a.jpg", {}, text)).taken == taken


def test_time_of_scanning_stands_in(tmp_path):
    exif = Image.Exif()
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    inner[Base.DateTimeOriginal] = "0000:00:00 00:00:00"
    inner[Base.DateTimeDigitized] = "2001:02:03 04:05:06"
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert read_metadata(tmp_path / "a.jpg").taken == at(2001, 2, 3, 4, 5, 6)


@pytest.mark.parametrize(
    ("words", "tags"),
    [
        ([b"Beach"], ("beach",)),
        (["Été".encode(), "Été".encode("latin-1"), b"a  b"], ("été", "a b")),
        ([b"", b" "], ()),
        ([f"tag {i}".encode() for i in range(500)], tuple(f"tag {i}" for i in range(100))),
    ],
)
def test_iptc_keywords(tmp_path, words, tags):
    file = photo(tmp_path / "a.jpg", {})
    data = file.read_bytes()
    file.write_bytes(data[:2] + iptc(words) + data[2:])
    assert read_metadata(file).tags == tags


def test_photo_that_says_nothing(tmp_path):
    for suffix in ("jpg", "png", "gif", "bmp"):
        Image.new("RGB", (4, 4)).save(tmp_path / f"a.{suffix}")
        assert read_metadata(tmp_path / f"a.{suffix}") == Metadata(width=4, height=4)
    assert read_metadata(tmp_path / "nowhere.jpg") == Metadata()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=30))
def test_damage_does_no_harm(tmp_path_factory, places):
    file = tmp_path_factory.mktemp("exif") / "a.jpg"
    values = {Base.Make: "Canon", Base.XPKeywords: "a;b".encode("utf-16-le")}
    photo(file, values, "2023:07:14 10:32:05")
    data = bytearray(file.read_bytes()[:2] + iptc([b"c"]) + file.read_bytes()[2:])
    for place, value in places:
        data[2 + int(place * 400)] = value
    file.write_bytes(data)
    found = read_metadata(file)
    assert isinstance(found.taken, int | None)
    assert found.camera.isprintable()
    assert all(tag.isprintable() and tag for tag in found.tags)


def test_real_photo_keeps_its_pixels_apart(tmp_path):
    """Only the head of the file is read: a photo that ends early still says when it was taken."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    exif = Image.Exif()
    exif[Base.Model] = "Pixel 9"
    Image.fromarray(noise).save(tmp_path / "a.jpg", exif=exif)
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    assert read_metadata(tmp_path / "a.jpg").camera == "Pixel 9"


def iptc(words: list[bytes]) -> bytes:
    """A JPEG segment with keywords, as Photoshop writes them."""
    fields = b"".join(b"\x1c\x02\x19" + struct.pack(">H", len(word)) + word for word in words)
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(fields)) + fields
    content = b"Photoshop 3.0\0" + block + b"\0" * (len(fields) % 2)
    return b"\xff\xed" + struct.pack(">H", len(content) + 2) + content
