"""RAW photos: their previews, rotation, metadata and damage."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hgan.errors import DataError
from hgan.runtime import formats
from hgan.runtime.images import TooSmallError, check_photo, media_type, open_photo
from hgan.runtime.metadata.read import read_metadata
from hgan.runtime.metadata.types import Metadata
from tests.fixtures.raw import dng
from tests.runtime.test_formats import corners, quarters

pytest.importorskip("rawpy")


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, ["red", "green", "blue", "white"]),
        (3, ["blue", "white", "red", "green"]),
        (6, ["white", "red", "green", "blue"]),
        (8, ["green", "blue", "white", "red"]),
    ],
)
def test_the_preview_is_shown_upright(
    orientation: int, expected: list[str], tmp_path: Path
) -> None:
    data = dng(quarters(), orientation)
    assert corners(open_photo(data, name="a.dng")) == expected
    (tmp_path / "a.DNG").write_bytes(data)
    photo = open_photo(tmp_path / "a.DNG", hint=16)
    assert corners(photo) == expected
    assert sorted(photo.size) == [32, 48]
    assert media_type(tmp_path / "a.DNG") == media_type(data, "a.nef") == "image/x-dcraw"


def test_a_preview_of_plain_pixels(tmp_path: Path) -> None:
    """As in old cameras; it has no EXIF of its own."""
    data = _with_plain_preview(dng(np.asarray(quarters()).tobytes(), 6))
    assert corners(open_photo(data, name="a.dng")) == ["white", "red", "green", "blue"]


def test_metadata() -> None:
    found = read_metadata(dng(quarters()), "a.dng")
    width, height = open_photo(dng(quarters()), name="a.dng").size
    assert found == Metadata(1688128201, "Canon EOS 5D", width=width, height=height)
    assert read_metadata(b"no photo", "a.dng") == Metadata()


def test_a_raw_photo_is_told_by_its_name() -> None:
    """A DNG is a TIFF, too, which shows its preview without rotation."""
    assert media_type(dng(quarters(), 6), "a.tif") == "image/tiff"


def test_damage(tmp_path: Path) -> None:
    data = dng(quarters())
    for cut in (0, 1, 100, 5000, len(data) - 300):
        with pytest.raises(DataError, match=r"a\.dng: not a RAW photo that can be read"):
            open_photo(data[:cut], name="a.dng")
    for preview, reason in (
        (None, "has no preview that can be read; save it as a JPEG"),
        (b"garbage" * 100, "has no preview that can be read"),
        (b"\xff\xd8" + bytes(600), "a.dng: "),
    ):
        (tmp_path / "a.dng").write_bytes(dng(preview))
        with pytest.raises(DataError, match=reason):
            open_photo(tmp_path / "a.dng")
        with pytest.raises(DataError, match=reason):
            check_photo(tmp_path / "a.dng")
    rng = np.random.default_rng(0)
    for _ in range(100):
        broken = bytearray(data)
        for place in rng.integers(8192, len(data), 4):  # behind the sensor's pixels
            broken[place] = rng.integers(0, 256)
        try:
            open_photo(bytes(broken), name="a.dng")
        except DataError:
            continue


def test_a_preview_that_claims_to_be_larger_than_the_file() -> None:
    data = bytearray(_with_plain_preview(dng(np.asarray(quarters()).tobytes())))
    for at, number in _rows(data):
        if number in (256, 257, 278):
            struct.pack_into("<I", data, at + 8, 12_000)
    with pytest.raises(DataError, match=r"a\.dng: damaged, its preview is larger than the file"):
        open_photo(bytes(data), name="a.dng")


def test_small_previews(tmp_path: Path) -> None:
    (tmp_path / "a.dng").write_bytes(dng(Image.new("RGB", (160, 60))))
    for look in (lambda path: open_photo(path, least=64), lambda path: check_photo(path, 64)):
        with pytest.raises(TooSmallError, match="160 x 60 pixels; at least 64"):
            look(tmp_path / "a.dng")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "is_installed", lambda _module: False)
    with pytest.raises(DataError, match=r"a\.dng: .* pip install 'hgan\[raw\]'"):
        open_photo(dng(quarters()), name="a.dng")


def _with_plain_preview(data: bytes) -> bytes:
    """Change the first directory: its picture is not compressed, and RGB."""
    changed = bytearray(data)
    for at, number in _rows(data):
        if number in (259, 262):
            struct.pack_into("<H", changed, at + 8, {259: 1, 262: 2}[number])
    return bytes(changed)


def _rows(data: bytes) -> list[tuple[int, int]]:
    """Place and tag of each row of the first directory."""
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    places = [start + 2 + 12 * row for row in range(count)]
    return [(at, struct.unpack_from("<H", data, at)[0]) for at in places]
