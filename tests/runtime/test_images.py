"""A photo of any kind becomes the right RGB image; anything else raises DataError."""

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hgan.errors import DataError
from hgan.runtime import images
from hgan.runtime.decoding_cost import decoding_bytes
from hgan.runtime.formats import PHOTO
from hgan.runtime.images import MAX_PIXELS, open_photo
from hgan.runtime.preprocessing import Preprocessing
from hgan.runtime.stream import stream

# Pillow warns of damaged metadata and of large photos, here as it should.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]


def saved(photo: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    photo.save(file, form, **options)
    return file.getvalue()


def pixels(source: bytes | Path) -> list[tuple[int, ...]]:
    photo = open_photo(source)
    assert photo.mode == "RGB"
    return [tuple(row) for row in np.asarray(photo).reshape(-1, 3).tolist()]


def row(mode: str, values: list[Any]) -> Image.Image:
    """A photo one pixel high."""
    photo = Image.new(mode, (len(values), 1))
    photo.putdata(values)
    return photo


def palette(values: list[int]) -> Image.Image:
    photo = row("P", values)
    photo.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return photo


RED, GREEN, BLUE, WHITE, BLACK = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
    (0, 0, 0),
)
GRAY = (127, 127, 127)  # black, half transparent, on white
EXACT: dict[str, tuple[bytes, list[tuple[int, ...]]]] = {
    "1 PNG": (saved(row("1", [0, 255]), "PNG"), [BLACK, WHITE]),
    "1 TIFF": (saved(row("1", [0, 255]), "TIFF"), [BLACK, WHITE]),
    "L PNG": (saved(row("L", [0, 7, 255]), "PNG"), [BLACK, (7, 7, 7), WHITE]),
    "L BMP": (saved(row("L", [0, 7, 255]), "BMP"), [BLACK, (7, 7, 7), WHITE]),
    "L PNG, 7 transparent": (
        saved(row("L", [0, 7, 255]), "PNG", transparency=7),
        [BLACK, WHITE, WHITE],
    ),
    "LA PNG": (
        saved(row("LA", [(9, 255), (9, 0), (0, 128)]), "PNG"),
        [(9, 9, 9), WHITE, GRAY],
    ),
    "P PNG": (saved(palette([0, 1, 2]), "PNG"), [RED, GREEN, BLUE]),
    "P PNG, 1 transparent": (
        saved(palette([0, 1, 2]), "PNG", transparency=1),
        [RED, WHITE, BLUE],
    ),
    "P PNG, opacities": (
        saved(palette([0, 1, 2]), "PNG", transparency=bytes([255, 0, 128])),
        [RED, WHITE, (127, 127, 255)],
    ),
    "P GIF, 1 transparent": (
        saved(palette([0, 1, 2]), "GIF", transparency=1),
        [RED, WHITE, BLUE],
    ),
    "RGB PNG": (saved(row("RGB", [(1, 2, 3), RED]), "PNG"), [(1, 2, 3), RED]),
    "RGB TIFF": (saved(row("RGB", [(1, 2, 3), RED]), "TIFF"), [(1, 2, 3), RED]),
    "RGB WebP": (saved(row("RGB", [(1, 2, 3), RED]), "WEBP", lossless=True), [(1, 2, 3), RED]),
    "RGB PNG, red transparent": (
        saved(row("RGB", [(1, 2, 3), RED]), "PNG", transparency=RED),
        [(1, 2, 3), WHITE],
    ),
    "RGBA PNG": (
        saved(row("RGBA", [(*RED, 255), (*RED, 0), (0, 0, 0, 128)]), "PNG"),
        [RED, WHITE, GRAY],
    ),
    "RGBA WebP": (
        saved(row("RGBA", [(*RED, 255), (0, 0, 0, 0)]), "WEBP", lossless=True, exact=True),
        [RED, WHITE],
    ),
    "CMYK TIFF": (
        saved(row("CMYK", [(255, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255)]), "TIFF"),
        [(0, 255, 255), RED, BLACK],
    ),
    "I;16 PNG": (
        saved(Image.fromarray(np.array([[0, 200, 257 * 100, 65535]], np.uint16)), "PNG"),
        [BLACK, (1, 1, 1), (100, 100, 100), WHITE],
    ),
    "I;16 TIFF": (
        saved(Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16)), "TIFF"),
        [BLACK, (100, 100, 100), WHITE],
    ),
    "dark I;16 TIFF": (  # by the depth, not by the largest value in it
        saved(Image.fromarray(np.array([[0, 255]], np.uint16)), "TIFF"),
        [BLACK, (1, 1, 1)],
    ),
    "I;16B TIFF": (
        saved(Image.fromarray(np.array([[0, 257 * 100, 65535]], ">u2")), "TIFF"),
        [BLACK, (100, 100, 100), WHITE],
    ),
    "I TIFF": (saved(row("I", [-5, 257 * 100, 65535]), "TIFF"), [BLACK, (100, 100, 100), WHITE]),
    "F TIFF": (
        saved(row("F", [0.0, 0.4, 1.0, float("nan")]), "TIFF"),
        [BLACK, (102, 102, 102), WHITE, BLACK],
    ),
    "animated GIF": (
        saved(palette([0]), "GIF", save_all=True, append_images=[palette([1]), palette([2])]),
        [RED],
    ),
    "animated WebP": (
        saved(
            row("RGB", [RED]),
            "WEBP",
            save_all=True,
            append_images=[row("RGB", [GREEN])],
            lossless=True,
        ),
        [RED],
    ),
    "animated PNG": (
        saved(row("RGB", [RED]), "PNG", save_all=True, append_images=[row("RGB", [GREEN])]),
        [RED],
    ),
    "pages of TIFF": (
        saved(row("RGB", [RED]), "TIFF", save_all=True, append_images=[row("RGB", [GREEN])]),
        [RED],
    ),
}


@pytest.mark.parametrize("case", EXACT)
def test_every_mode_ends_as_the_right_rgb(case: str, tmp_path: Path) -> None:
    data, expected = EXACT[case]
    assert pixels(data) == expected
    path = tmp_path / "photo.any"  # the name says nothing, the content does
    path.write_bytes(data)
    assert pixels(path) == expected


@pytest.mark.parametrize(
    ("mode", "colour", "form", "expected"),
    [
        ("L", 77, "JPEG", (77, 77, 77)),
        ("RGB", (200, 30, 60), "JPEG", (200, 30, 60)),
        ("RGB", (200, 30, 60), "MPO", (200, 30, 60)),
        ("CMYK", (0, 255, 255, 0), "JPEG", RED),
        ("CMYK", (0, 0, 0, 128), "JPEG", GRAY),
        ("YCbCr", (76, 85, 255), "JPEG", (254, 0, 0)),
    ],
)
@pytest.mark.parametrize("hint", [None, 8])
def test_jpeg(mode: str, colour: Any, form: str, expected: tuple[int, ...], hint: int) -> None:
    photo = open_photo(saved(Image.new(mode, (64, 48), colour), form, quality=95), hint)
    assert photo.mode == "RGB"
    assert np.abs(np.asarray(photo, int) - expected).max() <= 3


def turned(stored: np.ndarray, orientation: int) -> np.ndarray:
    """A plain version: EXIF says at which side of the scene the stored row 0 and column 0 are."""
    sides = {1: "TL", 2: "TR", 3: "BR", 4: "BL", 5: "LT", 6: "RT", 7: "RB", 8: "LB"}
    first_row, first_column = sides[orientation]
    height, width, _ = stored.shape
    upright = first_row in "TB"
    scene = np.zeros((height, width, 3) if upright else (width, height, 3), np.uint8)
    for r in range(height):
        for c in range(width):
            y, x = (r, c) if upright else (c, r)
            if "B" in (first_row, first_column):
                y = scene.shape[0] - 1 - y
            if "R" in (first_row, first_column):
                x = scene.shape[1] - 1 - x
            scene[y, x] = stored[r, c]
    return scene


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(form: str, orientation: int) -> None:
    stored = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10
    photo = Image.fromarray(stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if form == "WEBP" else {}
    opened = open_photo(saved(photo, form, exif=exif, **options))
    np.testing.assert_array_equal(np.asarray(opened), turned(stored, orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("hint", [None, 16])
def test_exif_orientation_of_jpeg(orientation: int, hint: int | None) -> None:
    stored = np.zeros((96, 160, 3), np.uint8)
    stored[:48, :80], stored[:48, 80:], stored[48:, :80] = RED, GREEN, BLUE
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = open_photo(saved(Image.fromarray(stored), "JPEG", quality=95, exif=exif), hint)
    expected = Image.fromarray(turned(stored, orientation))
    difference = np.asarray(photo.resize((2, 2), Image.Resampling.BOX), int) - np.asarray(
        expected.resize((2, 2), Image.Resampling.BOX), int
    )
    assert np.abs(difference).max() <= 6


def test_damaged_exif_does_no_harm() -> None:
    for exif in (
        b"Exif\x00\x00MM",
        b"Exif\x00\x00II*\x00\xff\xff\xff\xff",
        b"Exif\x00\x00" + b"\xff" * 40,
    ):
        data = saved(Image.new("RGB", (8, 8), RED), "JPEG", exif=exif)
        assert open_photo(data).size == (8, 8)


def noise(form: str, side: int = 48, **options: Any) -> bytes:
    values = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return saved(Image.fromarray(values), form, **options)


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


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (7, 5), (64, 64)])
def test_to_pixels_squashes(size: tuple[int, int]) -> None:
    found = Preprocessing(24).pixels(Image.new("RGB", size, (10, 20, 30)))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.broadcast_to([10, 20, 30], (24, 24, 3)))


def test_the_hint_changes_pixels_little() -> None:
    y, x = np.mgrid[:480, :640]
    waves = np.stack([x / 3, y / 2, 127 + 80 * np.sin(x / 40 + y / 60)], -1).astype(np.uint8)
    data = saved(Image.fromarray(waves), "JPEG", quality=95)
    full, small = (
        Preprocessing(64).pixels(open_photo(data, hint)).astype(int) for hint in (None, 64)
    )
    assert open_photo(data, 64).size == (320, 240)  # decoded at half the scale
    assert np.abs(full - small).mean() < 2


def test_suffixes_are_those_that_decode() -> None:
    Image.init()
    for form in {Image.EXTENSION[suffix] for suffix in PHOTO.suffixes}:
        assert pixels(saved(Image.new("RGB", (8, 8), WHITE), form))[0] == WHITE


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "I", "F", "RGB", "RGBA", "LA", "CMYK"])
@pytest.mark.parametrize("hint", [None, 8, 3])
def test_strips_equal_the_whole_photo(mode: str, hint: int | None, monkeypatch) -> None:
    values = np.random.default_rng(1).integers(0, 256, (67, 45, 4), dtype=np.uint8)
    if mode == "F":
        photo = Image.fromarray(values[..., 0].astype(np.float32) / 255)
    elif mode.startswith("I"):
        kind = np.uint16 if mode == "I;16" else np.int32
        photo = Image.fromarray(values[..., 0].astype(kind) * 250)
    else:
        photo = Image.fromarray(values).convert(mode)
    assert photo.mode == mode
    data = saved(photo, "TIFF" if mode in ("F", "I", "CMYK") else "PNG")
    whole = open_photo(data, hint)
    monkeypatch.setattr(images, "_STRIP_PIXELS", 100)  # two lines
    np.testing.assert_array_equal(np.asarray(open_photo(data, hint)), np.asarray(whole))
    if hint is not None:
        shrink = 45 // (2 * hint)
        assert whole.size == (-(-45 // shrink), -(-67 // shrink))
        full = Image.fromarray(np.asarray(open_photo(data)))
        difference = np.asarray(whole, int) - np.asarray(full.reduce(shrink), int)
        assert np.abs(difference).max() == 0  # converted, then reduced


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


def test_photos_of_the_caller_are_left_as_they_are() -> None:
    for form in ("JPEG", "PNG", "WEBP"):
        with Image.open(io.BytesIO(noise(form, 64))) as given:
            found = images.read_photo(given, hint=8)
            assert given.size == (64, 64) and given.getpixel((0, 0))
            assert found is not given
    plain = Image.new("RGB", (4, 4), RED)
    images.read_photo(plain).putpixel((0, 0), BLUE)
    assert plain.getpixel((0, 0)) == RED
