"""Memory of decoding: photos of up to 10^8 pixels in formats that need much of it."""

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory in /proc"),
]

MB = 10**6
SCRIPT = Path(__file__).with_name("decode_peak.py")
SIZE = 224


class Memory(NamedTuple):
    """Bytes above idle, and the colours or errors."""

    peak: int
    after: int
    found: list[str]


def measured(path: Path, count: int = 1) -> Memory:
    Image.new("RGB", (64, 64)).save(path.with_name("small.png"))
    command = [sys.executable, str(SCRIPT), str(count), str(SIZE), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Memory(**json.loads(done.stdout))


Save = Callable[[Path, int], None]


def _save(mode: str, colour: Any, **options: Any) -> Save:
    def save(path: Path, side: int) -> None:
        Image.new(mode, (side, side), colour).save(path, **options)

    return save


def _gray16(path: Path, side: int) -> None:
    values = np.full((side, side), 257 * 100, np.uint16)
    Image.fromarray(values).save(path, compression="tiff_adobe_deflate")


def _heic(path: Path, side: int) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    photo = Image.new("RGB", (side, side), (128,) * 3)
    pillow_heif.from_pillow(photo).save(path, enc_params={"preset": "ultrafast"})


FLOAT = _save("F", 0.5, compression="tiff_adobe_deflate")
RGBA = _save("RGBA", (255, 0, 0, 128), compress_level=1)
# name, how it is saved, side of the largest square that is decoded, its mean colour
FORMATS: dict[str, tuple[Save, int, list[float]]] = {
    "gray16.tif": (_gray16, 10_000, [100.0, 100.0, 100.0]),
    "float.tif": (FLOAT, 9_400, [128.0, 128.0, 128.0]),
    "rgba.png": (RGBA, 9_400, [255.0, 127.0, 127.0]),
    "rgb.png": (_save("RGB", (9, 99, 199), compress_level=1), 9_400, [9.0, 99.0, 199.0]),
    "lossy.webp": (_save("RGB", (128,) * 3, method=0), 5_500, [128.0, 128.0, 128.0]),
    "clear.webp": (
        _save("RGBA", (255, 0, 0, 128), lossless=True, method=0, quality=0),
        5_500,
        [255.0, 127.0, 127.0],
    ),
    "progressive.jpg": (
        _save("RGB", (128,) * 3, progressive=True),
        10_000,
        [128.0, 128.0, 128.0],
    ),
    "baseline.jpg": (_save("RGB", (128,) * 3), 10_000, [128.0, 128.0, 128.0]),
    "opaque.avif": (_save("RGB", (128,) * 3, speed=10), 6_200, [128.0, 128.0, 128.0]),
    "full.avif": (
        _save("RGB", (128,) * 3, speed=10, subsampling="4:4:4"),
        5_700,
        [128.0, 128.0, 128.0],
    ),
    "photo.heic": (_heic, 7_000, [128.0, 128.0, 128.0]),
    "cmyk.tif": (
        _save("CMYK", (0, 255, 255, 0), compression="tiff_lzw"),
        9_400,
        [255.0, 0.0, 0.0],
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_largest_photo_is_decoded_within_400_mb(tmp_path: Path, name: str) -> None:
    save, side, colour = FORMATS[name]
    save(tmp_path / name, side)
    one = measured(tmp_path / name)
    print(name, one)
    assert one.found == [str(colour)]
    assert one.peak <= 400 * MB
    assert one.after <= 50 * MB


@pytest.mark.parametrize("name", [name for name, (_, side, _) in FORMATS.items() if side < 10_000])
def test_a_photo_of_10_to_the_8_pixels_needs_at_most_400_mb(tmp_path: Path, name: str) -> None:
    FORMATS[name][0](tmp_path / name, 10_000)
    one = measured(tmp_path / name)
    print(name, one)
    assert one.peak <= 400 * MB
    assert one.after <= 50 * MB
    [found] = one.found
    assert "more than the limit of 380 MB; make a smaller copy" in found and name in found


def test_an_avif_photo_that_says_it_is_small(tmp_path: Path) -> None:
    """The decoder believes the AV1 data."""
    Image.new("RGB", (16_000, 9_000)).save(tmp_path / "a.avif", speed=10)
    data = (tmp_path / "a.avif").read_bytes()
    at = data.index(b"ispe") + 8
    (tmp_path / "a.avif").write_bytes(data[:at] + struct.pack(">II", 64, 64) + data[at + 8 :])
    one = measured(tmp_path / "a.avif")
    print(one)
    assert one.peak <= 50 * MB
    assert "64 x 64 pixels as AVIF need" in one.found[0]


@pytest.mark.parametrize("name", ["gray16.tif", "rgba.png"])
def test_several_at_once_need_at_most_800_mb(tmp_path: Path, name: str) -> None:
    save, side, colour = FORMATS[name]
    save(tmp_path / name, side)
    four = measured(tmp_path / name, count=4)
    print(name, four)
    assert four.found == [str(colour)]
    assert four.peak <= 800 * MB
    assert four.after <= 50 * MB
