"""Paths of uploaded photos: which are valid places below the folder, and which are not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.errors import DataError
from hgan.serve.upload_paths import DEEPEST, LONGEST_NAME, TakenError, parts_of, place_of

PIECES = st.sampled_from(
    [
        "..",
        ".",
        "/",
        "//",
        "\\",
        "C:",
        "~",
        "\0",
        "%2e",
        "a",
        "été",
        "photo.png",
        ".png",
        " ",
        "nul",
    ]
)


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


@given(st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=30).map("{}.png".format))
def test_no_path_leads_out(path):
    root = Path("/nowhere/photos")
    try:
        place = place_of(root, parts_of(path), None)
    except DataError:
        return
    assert place.resolve().is_relative_to(root)
    assert place.relative_to(root).as_posix() == path
    assert not any(part.startswith(".") for part in place.relative_to(root).parts)


def test_links_files_and_the_index_are_no_folders(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "real", outside, root / "my.index/edge"):
        folder.mkdir(parents=True)
    (root / "inner").symlink_to(root / "real")
    (root / "outer").symlink_to(outside)
    (root / "file.png").write_bytes(b"x")
    (root / "dead.png").symlink_to(root / "nothing.png")
    (root / "folder.png").mkdir()
    index = root / "my.index"
    for path in ("inner/a.png", "outer/a.png", "outer/b/a.png", "my.index/a.png",
                 "my.index/edge/a.png"):  # fmt: skip
        with pytest.raises(DataError) as refused:
            place_of(root, path.split("/"), index)
        assert not isinstance(refused.value, TakenError), path
    for path in ("file.png/a.png", "dead.png", "folder.png"):
        with pytest.raises(TakenError):
            place_of(root, path.split("/"), index)
    for path in ("real/a.png", "new/deep/a.png", "file.png", "my.indexes/a.png"):
        assert place_of(root, path.split("/"), index) == root / path
