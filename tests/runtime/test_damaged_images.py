"""What is not a whole photo, or would need too much memory, raises DataError, and nothing else."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hgan.errors import DataError
from hgan.runtime import images
from hgan.runtime.decoding_cost import decoding_bytes
from hgan.runtime.images import MAX_PIXELS, open_photo
from hgan.runtime.preprocessing import Preprocessing
from hgan.runtime.stream import stream
from tests.fixtures.image_files import EXACT, RED, noise, saved

# Pillow warns of damaged metadata and of large photos, here as it should.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]


def test_damaged_exif_does_no_harm() -> None:
    for exif in (
        b"Exif\x00\x00MM",
        b"Exif\x00\x00II*\x00\xff\xff\xff\xff",
        b"Exif\x00\x00" + b"\xff" * 40,
    ):
        data = saved(Image.new("RGB", (8, 8), RED), "JPEG", exif=exif)
        assert open_photo(data).size == (8, 8)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("hint", [None, 8])
def test_truncated_anywhere(form: str, hint: int | None, tmp_path: Path) -> None:
    data = noise(form)
    for cut in sorted({0, 1, 2, 3, 10, 20, *range(30, len(data) - 64, len(data) // 40)}):
        with pytest.raises(DataError):
            open_photo(data[:cut], hint)
    path = tmp_path / "cut.jpg"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"cut\.jpg"):
        open_photo(path, hint)


def test_not_photos(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jpg"
    empty.touch()
    text = tmp_path / "text.jpg"
    text.write_text("this is no photo\n" * 100)
    vector = tmp_path / "vector.jpg"  # Pillow itself would start Ghostscript for it
    vector.write_bytes(saved(Image.new("RGB", (4, 4)), "EPS"))
    for path in (empty, text, vector):
        with pytest.raises(DataError, match=f"{path.name}: not a photo"):
            open_photo(path)
        with pytest.raises(DataError, match=r"^photo: not a photo"):
            open_photo(path.read_bytes())
    with pytest.raises(DataError, match="no such file"):
        open_photo(tmp_path / "absent.jpg")
    with pytest.raises(DataError, match="not a regular file"):
        open_photo(tmp_path)
    with pytest.raises(DataError):
        open_photo(tmp_path / "nul\0.jpg")


def bomb(width: int, height: int) -> bytes:
    """A whole, valid PNG of black pixels, one bit each, compressed as it is made."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    press, line = zlib.compressobj(1), bytes(1 + (width + 7) // 8)
    rows = b"".join(press.compress(line) for _ in range(height)) + press.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("side", [20_000, 10_001])
def test_a_decompression_bomb_is_refused(side: int) -> None:
    data = bomb(side, side)
    assert len(data) < 1_000_000
    with pytest.raises(DataError, match="pixels"):
        open_photo(data)


def test_bombs_in_threads_leave_the_warning_filters_alone() -> None:
    assert MAX_PIXELS < 10_001**2
    before = list(warnings.filters)
    batches = list(stream([bomb(10_001, 10_001)] * 32, to_array, batch_size=8, threads=8))
    assert sum(len(batch.failed) for batch in batches) == 32
    assert list(warnings.filters) == before


def to_array(data: bytes) -> np.ndarray:
    return np.asarray(open_photo(data))


def decodes_or_says_why(data: bytes) -> None:
    try:
        photo = open_photo(data, hint=8)
    except DataError as error:
        assert str(error).startswith("photo: ")
    else:
        assert Preprocessing(8).pixels(photo).shape == (8, 8, 3)


@settings(max_examples=500)
@given(st.binary(max_size=300), st.sampled_from([data for data, _ in EXACT.values()]))
def test_random_bytes(tail: bytes, real: bytes) -> None:
    decodes_or_says_why(tail)
    decodes_or_says_why(real[:12] + tail)


@settings(max_examples=500)
@given(
    st.sampled_from([data for data, _ in EXACT.values()] + [noise("JPEG", 16), noise("GIF", 16)]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
)
def test_damaged_photos(data: bytes, changes: list[tuple[float, int]]) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    decodes_or_says_why(bytes(damaged))


def test_a_photo_that_needs_too_much_memory(monkeypatch) -> None:
    data = noise("WEBP", 64)
    assert open_photo(data).size == (64, 64)
    monkeypatch.setattr(images, "PHOTO_BYTES", 10_000)
    with pytest.raises(DataError, match="photo: 64 x 64 pixels as WEBP need 0 MB of memory"):
        open_photo(data)


@pytest.mark.parametrize("progressive", [False, True])
def test_coefficients_of_a_progressive_jpeg_are_counted(progressive: bool) -> None:
    data = noise("JPEG", 320, progressive=progressive, subsampling=0)
    with Image.open(io.BytesIO(data)) as photo:
        photo.draft("RGB", (40, 40))
        assert photo.size == (40, 40)
        needed = decoding_bytes(photo, data, 320 * 320, strip=0, result=0)
    assert needed == len(data) + 4 * 40 * 40 + (2 * 3 * 320 * 320 if progressive else 0)
