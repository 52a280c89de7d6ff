"""Views: the photo, its mirror image, and crops that depend on number and key alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hgan.vision.views import view


def coordinates(width: int, height: int) -> Image.Image:
    """A photo whose pixels say where they are: (x, y, 0)."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x, y, 0 * x], -1).astype(np.uint8))


def test_view_0_is_the_photo_and_view_1_its_mirror_image() -> None:
    photo = coordinates(30, 20)
    assert view(photo, 0, "key") is photo
    np.testing.assert_array_equal(view(photo, 1, "key"), np.asarray(photo)[:, ::-1])


@given(st.integers(2, 12), st.text(max_size=5), st.integers(1, 250), st.integers(1, 250))
def test_a_crop_is_a_part_of_the_photo_perhaps_mirrored(
    number: int, key: str, width: int, height: int
) -> None:
    photo = coordinates(width, height)
    crop = np.asarray(view(photo, number, key)).astype(int)
    assert crop.size > 0
    x, y = crop[0, :, 0], crop[:, 0, 1]
    if x[0] > x[-1]:
        crop, x = crop[:, ::-1], x[::-1]
    expected = np.asarray(photo)[y[0] : y[-1] + 1, x[0] : x[-1] + 1]
    np.testing.assert_array_equal(crop, expected)  # nothing from outside, nothing stretched


@given(st.integers(2, 40), st.text(max_size=5))
def test_a_crop_keeps_at_least_half_the_area(number: int, key: str) -> None:
    crop = view(Image.new("RGB", (1000, 800)), number, key)
    assert 0.495 <= crop.width * crop.height / 800_000 <= 1
    assert 0.79 <= (crop.width / 1000) / (crop.height / 800) <= 1.26


def test_the_same_key_gives_the_same_crop_and_others_differ() -> None:
    photo = coordinates(200, 200)
    crops = {(n, k): view(photo, n, k).tobytes() for n in (2, 3, 4) for k in ("a", "b")}
    assert len(set(crops.values())) == 6
    for (number, key), data in crops.items():
        assert view(photo, number, key).tobytes() == data


def test_crops_of_many_photos_cover_all_of_them_and_half_are_mirrored() -> None:
    photo = coordinates(100, 100)
    seen, mirrored = np.zeros((100, 100), int), 0
    for i in range(200):
        crop = np.asarray(view(photo, 2, f"{i}.jpg"))
        seen[crop[..., 1], crop[..., 0]] += 1
        mirrored += crop[0, 0, 0] > crop[0, -1, 0]
    assert seen.min() > 0 and seen[40:60, 40:60].min() > 190
    assert 70 < mirrored < 130


@pytest.mark.parametrize(
    ("number", "first", "last"),
    [
        (2, (182, 9), (12, 87)),
        (3, (193, 2), (8, 95)),
        (4, (7, 5), (165, 88)),
        (5, (186, 2), (48, 84)),
    ],
)
def test_crops_stay_what_they_were(
    number: int, first: tuple[int, int], last: tuple[int, int]
) -> None:
    """Features that were stored, or interrupted and continued, rely on these corners."""
    crop = np.asarray(view(coordinates(200, 100), number, "1000268201.jpg"))
    assert (tuple(crop[0, 0, :2]), tuple(crop[-1, -1, :2])) == (first, last)
