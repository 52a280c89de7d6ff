"""Preprocessing equals a plain resize and crop for photos of any shape, in bounded memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hgan.errors import DataError
from hgan.runtime.images import open_photo
from hgan.runtime.preprocessing import Preprocessing

SQUASH = Preprocessing(32)
CROP = Preprocessing(32, "crop", "bicubic", shorter_side=40)


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def middle(photo: Image.Image) -> np.ndarray:
    """What `CROP` gives, by resizing the whole photo and cropping it afterwards."""
    (width, height), scale = photo.size, 40 / min(photo.size)
    whole = photo.resize(
        (40, int(height * scale)) if width < height else (int(width * scale), 40),
        Image.Resampling.BICUBIC,
    )
    left, top = (whole.width - 32) // 2, (whole.height - 32) // 2
    return np.asarray(whole.crop((left, top, left + 32, top + 32)))


@pytest.mark.parametrize("size", [(97, 61), (45, 120), (64, 64), (40, 41), (320, 41)])
def test_crop_is_the_middle_of_the_resized_photo(size: tuple[int, int]) -> None:
    photo = noise(*size)
    np.testing.assert_array_equal(CROP.pixels(photo), middle(photo))


@pytest.mark.parametrize("size", [(41 * 9, 41), (60, 700)])
def test_a_long_photo_is_cropped_before_it_is_resized(size: tuple[int, int]) -> None:
    """The pixels are the same, but for rounding; the whole photo is never resized."""
    photo = noise(*size)
    assert np.abs(CROP.pixels(photo).astype(int) - middle(photo)).max() <= 3


@pytest.mark.parametrize("size", [(1, 1_000_000), (1_000_000, 1), (1, 1)])
@pytest.mark.parametrize("preprocessing", [SQUASH, CROP])
def test_the_longest_photos_need_little_memory(
    preprocessing: Preprocessing, size: tuple[int, int]
) -> None:
    pixels = preprocessing.pixels(Image.new("RGB", size, (10, 20, 30)))
    preprocessing.check(pixels)
    assert (pixels == (10, 20, 30)).all()


def test_the_filter_is_the_one_of_the_model() -> None:
    photo = noise(50, 50)
    for name in ("nearest", "bilinear", "lanczos"):
        expected = photo.resize((32, 32), Image.Resampling[name.upper()])
        found = Preprocessing(32, filter=name).pixels(photo)
        np.testing.assert_array_equal(found, np.asarray(expected))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((32, 32, 3)),
        np.zeros((31, 32, 3), np.uint8),
        np.zeros((32, 32), np.uint8),
        "photo.jpg",
    ],
)
@pytest.mark.parametrize("preprocessing", [SQUASH, CROP])
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
        ({"size": 32, "scale": 1}, "scale must be"),
        ({"size": 32, "scale": 17}, "from 2 to 16"),
    ],
)
def test_settings_out_of_range_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("fields", [{}, {"fit": "crop", "shorter_side": 12}])
def test_a_larger_scale_is_closer_to_resizing_the_whole_photo(
    fields: dict[str, Any], flickr8k: Path
) -> None:
    """Of real photos that are more than ten times as large as what the model reads."""
    errors = []
    for scale in (2, 3, 16):
        preprocessing = Preprocessing(12, scale=scale, **fields)
        differences = []
        for file in sorted((flickr8k / "images").iterdir())[:12]:
            whole = preprocessing.pixels(open_photo(file)).astype(int)
            differences.append(np.abs(preprocessing.read(file) - whole).mean())
        errors.append(np.mean(differences))
    assert errors[0] > 2 * errors[1] > 0 and errors[2] == 0


@pytest.mark.parametrize("size", [(97, 61), (45, 120), (64, 64), (41 * 9, 41)])
def test_places_are_where_the_pixels_come_from(size: tuple[int, int]) -> None:
    """A mark in the photo is seen at the place in the square that stands for it."""
    boxes = [[0.25, 0.25, 0.5, 0.5], [0.5, 0.25, 0.75, 0.5], [0.0, 0.75, 0.25, 1.0]]
    for preprocessing in (SQUASH, CROP):
        for box in boxes:
            photo = Image.new("L", size, 0)
            [[x0, y0, x1, y1]] = preprocessing.places([box], photo)
            corners = [x0 * size[0], y0 * size[1], x1 * size[0] - 1, y1 * size[1] - 1]
            photo.paste(255, tuple(round(corner) for corner in corners[:2]) + tuple(
                round(corner) + 1 for corner in corners[2:]))  # fmt: skip
            seen = preprocessing.pixels(photo.convert("RGB"))[..., 0].astype(float)
            rows, columns = (seen.sum(axis) / seen.sum() @ (np.arange(32) + 0.5) / 32
                             for axis in (1, 0))  # fmt: skip
            assert abs(columns - (box[0] + box[2]) / 2) < 0.03
            assert abs(rows - (box[1] + box[3]) / 2) < 0.03


def test_places_in_a_squashed_photo_are_those_in_the_square() -> None:
    boxes = [[0.0, 0.25, 0.5, 1.0]]
    assert SQUASH.places(boxes, noise(97, 61)) == boxes
