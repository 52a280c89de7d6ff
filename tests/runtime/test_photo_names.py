"""Names of photos from others: which are paths below a folder, on every system."""

import pytest

from hgan.errors import DataError
from hgan.runtime.photo_names import DEEPEST, LONGEST_NAME, parts_of


@pytest.mark.parametrize(
    "path",
    ["a.jpg", "2023/été à Nîmes/IMG 1.JPEG", "犬/🐕.webp", "a..b/c...png", "-rf.tiff", "a.HEIC"],
)
def test_places_below_the_folder(path):
    assert "/".join(parts_of(path)) == path


@pytest.mark.parametrize(
    "path",
    [
        "", "/", ".", "..", "../a.png", "a/../../b.png", "a/./b.png", "/etc/a.png", "//host/a.png",
        "a//b.png", "a/", "~/a/..", "C:/a.png", "C:a.png", "a\\b.png", "..\\a.png", "a.png:stream",
        "a\0.png", "a\n.png", "a\u202egnp.png", "\ud800.png", ".hidden/a.png", ".a.png", "a/.png",
        " a.png", "a /b.png", "a./b.png", "con/a.png", "nul.png", "COM1.jpg", "lpt³/a.png",
        "a", "a.txt", "a.html", "a.png.exe", "a.dng", "photo.png/", "a" * 300 + ".png",
        "/".join(["a"] * DEEPEST) + "/a.png", "x" * LONGEST_NAME + ".png",
    ],
)  # fmt: skip
def test_paths_that_are_none(path):
    with pytest.raises(DataError, match=r"^path: "):
        parts_of(path)
