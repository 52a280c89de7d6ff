"""The size of AV1 images in AVIF files, for files of all kinds and for files that lie."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hgan.errors import DataError
from hgan.runtime.av1 import Av1Size, largest_av1
from hgan.runtime.images import open_photo


def avif(size: tuple[int, int], mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 100).save(file, "AVIF", speed=10, **options)
    return file.getvalue()


@pytest.mark.parametrize("size", [(1, 1), (64, 48), (65, 4097), (3000, 200)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_stills(size: tuple[int, int], mode: str) -> None:
    assert largest_av1(avif(size, mode)) == Av1Size(size[0] * size[1], 0, deep=False)
    full = largest_av1(avif(size, mode, subsampling="4:4:4"))
    assert full == Av1Size(size[0] * size[1], 1, deep=False)
    assert full.bytes >= size[0] * size[1]


def test_animations_may_have_frames_of_any_size_of_as_many_bits() -> None:
    frames = [Image.new("RGB", (640, 480), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "AVIF", save_all=True, append_images=frames[1:], quality=90)
    assert largest_av1(file.getvalue()) == Av1Size(1024 * 512, 0, deep=True)
    photo = open_photo(file.getvalue())
    assert photo.size == (640, 480)
    assert np.asarray(photo).mean(axis=(0, 1)) == pytest.approx((255, 0, 0), abs=4)


@pytest.mark.slow
def test_a_file_that_says_it_is_small_needs_what_its_image_needs() -> None:
    data = avif((16_000, 9_000))
    at = data.index(b"ispe") + 8
    lie = data[:at] + struct.pack(">II", 64, 64) + data[at + 8 :]
    with Image.open(io.BytesIO(lie)) as photo:
        assert photo.size == (64, 64)
    assert largest_av1(lie).pixels == 16_000 * 9_000
    with pytest.raises(DataError, match=r"64 x 64 pixels as AVIF need .* more than the limit"):
        open_photo(lie)


def test_whatever_is_damaged_is_an_error() -> None:
    data = avif((64, 48))
    rng = np.random.default_rng(0)
    for _ in range(500):
        broken = bytearray(data[: rng.integers(0, len(data))] if rng.random() < 0.3 else data)
        for place in rng.integers(0, max(1, len(broken)), 3 if broken else 0):
            broken[place] = rng.integers(0, 256)
        try:
            assert largest_av1(bytes(broken)).pixels > 0
        except ValueError:
            continue
    for empty in (b"", b"no file", data[:30]):
        with pytest.raises(ValueError, match=r"no still AV1 image|damaged"):
            largest_av1(empty)
