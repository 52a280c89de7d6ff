"""Preprocessing equals a plain resize and crop for photos of any shape, in bounded memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hgan.errors import DataError
from hgan.runtime.preprocessing import Preprocessing

SQUASH = Preprocessing(32)
CROP = Preprocessing(32, "crop", "bicubic", shorter_side=40)
PATCHES = Preprocessing(32, "patches", "bilinear", patch=8, patches=20)


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("size", [(97, 61), (45, 120), (64, 64), (40, 41), (320, 41)])
def test_crop_is_the_middle_of_the_resized_photo(size: tuple[int, int]) -> None:
    photo, (width, height) = noise(*size), size
    scale = 40 / min(size)
    whole = photo.resize(
        (40, int(height * scale)) if width < height else (int(width * scale), 40),
        Image.Resampling.BICUBIC,
    )
    left, top = (whole.width - 32) // 2, (whole.height - 32) // 2
    expected = whole.crop((left, top, left + 32, top + 32))
    np.testing.assert_array_equal(CROP.pixels(photo), np.asarray(expected))


@pytest.mark.parametrize("size", [(41 * 9, 41), (60, 700)])
def test_a_long_photo_is_cropped_before_it_is_resized(size: tuple[int, int]) -> None:
    """The pixels are the same, but for rounding; the whole photo is never resized."""
    photo, (width, height) = noise(*size), size
    scale = 40 / min(size)
    whole = photo.resize(
        (40, int(height * scale)) if width < height else (int(width * scale), 40),
        Image.Resampling.BICUBIC,
    )
    left, top = (whole.width - 32) // 2, (whole.height - 32) // 2
    expected = np.asarray(whole.crop((left, top, left + 32, top + 32))).astype(int)
    assert np.abs(CROP.pixels(photo).astype(int) - expected).max() <= 3


@pytest.mark.parametrize("size", [(1, 1_000_000), (1_000_000, 1), (1, 1)])
@pytest.mark.parametrize("preprocessing", [SQUASH, CROP, PATCHES])
def test_the_longest_photos_need_little_memory(
    preprocessing: Preprocessing, size: tuple[int, int]
) -> None:
    pixels = preprocessing.pixels(Image.new("RGB", size, (10, 20, 30)))
    preprocessing.check(pixels)
    assert pixels.size <= 3 * 64 * 20 and (pixels == (10, 20, 30)).all()


def test_the_filter_is_the_one_of_the_model() -> None:
    photo = noise(50, 50)
    for name in ("nearest", "bilinear", "lanczos"):
        expected = photo.resize((32, 32), Image.Resampling[name.upper()])
        found = Preprocessing(32, filter=name).pixels(photo)
        np.testing.assert_array_equal(found, np.asarray(expected))


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_patches_fill_the_shape_of_the_photo(width: int, height: int) -> None:
    pixels = PATCHES.pixels(Image.new("RGB", (width, height)))
    down, across = pixels.shape[0] // 8, pixels.shape[1] // 8
    assert pixels.shape == (8 * down, 8 * across, 3)
    assert 1 <= down * across <= 20
    PATCHES.check(pixels)
    assert (down + 1) * (across + 1) > 20, "one more row and column would fit"


def test_patches_keep_their_place_in_the_photo() -> None:
    wide, tall = PATCHES.pixels(noise(100, 40)), PATCHES.pixels(noise(30, 90))
    found = PATCHES.inputs([wide, tall])
    assert found["pixels"].shape == (2, 20, 8 * 8 * 3) and found["pixels"].dtype == np.uint8
    for row, photo in enumerate((wide, tall)):
        down, across = found["shapes"][row]
        assert (8 * down, 8 * across) == photo.shape[:2]
        for patch in range(20):
            y, x = divmod(patch, int(across))
            cell = photo[8 * y : 8 * y + 8, 8 * x : 8 * x + 8]
            expected = cell.ravel() if patch < down * across else np.zeros(8 * 8 * 3)
            np.testing.assert_array_equal(found["pixels"][row, patch], expected)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((32, 32, 3)),
        np.zeros((31, 32, 3), np.uint8),
        np.zeros((8, 8 * 21, 3), np.uint8),
        np.zeros((32, 32), np.uint8),
        "photo.jpg",
    ],
)
@pytest.mark.parametrize("preprocessing", [SQUASH, PATCHES])
def test_what_has_not_been_resized_is_refused(preprocessing: Preprocessing, pixels: object) -> None:
    with pytest.raises(DataError, match="encode_image takes files"):
        preprocessing.check(pixels)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 0}, "size must be"),
        ({"size": 32, "fit": "stretch"}, "fit must be one of"),
        ({"size": 32, "filter": "magic"}, "filter must be one of"),
        ({"size": 32, "shorter_side": 40}, "shorter_side is not for fit: squash"),
        ({"size": 32, "fit": "crop"}, "shorter_side must be"),
        ({"size": 32, "fit": "crop", "shorter_side": 31}, "from 32 to"),
        ({"size": 32, "fit": "patches", "patch": 8}, "patches must be"),
        ({"size": 32, "fit": "patches", "patch": 7, "patches": 20}, "multiple of patch"),
        ({"size": 32, "fit": "patches", "patch": 8, "patches": 15}, "at most so many"),
        ({"size": 32, "fit": "patches", "patch": 8, "patches": 10**9}, "from 1 to 4096"),
    ],
)
def test_settings_out_of_range_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(**fields)  # type: ignore[arg-type]
