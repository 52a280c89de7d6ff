"""Contact sheets."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hgan.errors import HganError
from hgan.render.contact_sheet import contact_sheet
from hgan.search.finder import Hit
from tests.fixtures.photos import COLOURS, save_photo


def hits(folder: Path, n: int) -> list[Hit]:
    colours = list(COLOURS.values())
    return [
        Hit(save_photo(folder / f"{i}.png", colours[i % 3], i), 1 - i / 10, {}) for i in range(n)
    ]


@pytest.mark.parametrize(("n", "rows"), [(1, 1), (5, 1), (6, 2), (11, 3)])
def test_a_grid_of_the_photos(tmp_path, n, rows):
    contact_sheet(hits(tmp_path, n), tmp_path / "sheet.png", "a red photo")
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    red = (pixels[..., 0] > 180) & (pixels[..., 1:].max(axis=-1) < 100)
    # The red photos are the first, fourth, ...: each is 240 pixels wide and 180 high.
    assert red.sum() == pytest.approx(240 * 180 * len(range(0, n, 3)), rel=0.1)
    assert pixels.shape[0] > rows * 240
    assert (pixels.sum(axis=-1) < 200).any()  # something is written


def test_a_photo_that_has_gone(tmp_path):
    gone = Hit(tmp_path / "gone.jpg", 0.5, {})
    contact_sheet([*hits(tmp_path, 2), gone], tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_no_hits(tmp_path):
    contact_sheet([], tmp_path / "sheet.png", "nothing")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height > 0


@pytest.mark.parametrize("title", ["long " * 200, "雪の中の犬 🐕", "two\nlines\ttab", "\ud800"])
def test_any_title(tmp_path, title):
    contact_sheet(hits(tmp_path, 1), tmp_path / "sheet.png", title)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width < 2000


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HganError, match="cannot be written"):
        contact_sheet(hits(tmp_path, 1), tmp_path / "file" / "sheet.png")
