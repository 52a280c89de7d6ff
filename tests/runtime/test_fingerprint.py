"""Fingerprints: copies are alike, other photos are not."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from hgan.runtime.fingerprint import ALIKE, SIDE, distance, fingerprint, from_hex, to_hex


def saved(photo, quality):
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


CHANGES = {
    "saved again": lambda photo: saved(photo, 50),
    "smaller": lambda photo: photo.resize((photo.width // 2, photo.height // 2)),
    "brighter": lambda photo: ImageEnhance.Brightness(photo).enhance(1.1),
}


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    soft = [rng.integers(0, 256, (12, 16, 3), np.uint8) for _ in range(12)]
    return [Image.fromarray(array).resize((320, 240), Image.Resampling.BICUBIC) for array in soft]


def test_bits_are_those_of_a_loop(pictures):
    for photo in pictures[:3]:
        small = photo.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
        expected = [
            small.getpixel((x + 1, y)) > small.getpixel((x, y))
            for y in range(SIDE)
            for x in range(SIDE)
        ]
        assert fingerprint(photo).tolist() == expected


def test_a_fingerprint_as_text_comes_back(pictures):
    for photo in pictures:
        text = to_hex(fingerprint(photo))
        assert len(text) == 64
        np.testing.assert_array_equal(from_hex(text), fingerprint(photo))
    for text in ("", "zz" * 32, "00" * 31):
        assert from_hex(text) is None


@pytest.mark.parametrize("name", CHANGES)
def test_copies_are_alike_and_others_are_not(pictures, name):
    originals = [fingerprint(photo) for photo in pictures]
    for row, photo in enumerate(pictures):
        copy = fingerprint(CHANGES[name](photo))
        assert distance(copy, originals[row]) <= ALIKE
        assert all(distance(copy, originals[other]) > ALIKE for other in range(row))
