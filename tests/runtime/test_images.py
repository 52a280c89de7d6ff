"""A photo of any kind becomes the right RGB image, upright, and at the scale that is needed."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hgan.runtime import images
from hgan.runtime.formats import PHOTO
from hgan.runtime.images import open_photo
from hgan.runtime.preprocessing import Preprocessing
from tests.fixtures.image_files import BLUE, EXACT, GRAY, GREEN, RED, WHITE, noise, saved


def pixels(source: bytes | Path) -> list[tuple[int, ...]]:
    photo = open_photo(source)
    assert photo.mode == "RGB"
    return [tuple(row) for row in np.asarray(photo).reshape(-1, 3).tolist()]


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


def test_photos_of_the_caller_are_left_as_they_are() -> None:
    for form in ("JPEG", "PNG", "WEBP"):
        with Image.open(io.BytesIO(noise(form, 64))) as given:
            found = images.read_photo(given, hint=8)
            assert given.size == (64, 64) and given.getpixel((0, 0))
            assert found is not given
    plain = Image.new("RGB", (4, 4), RED)
    images.read_photo(plain).putpixel((0, 0), BLUE)
    assert plain.getpixel((0, 0)) == RED
