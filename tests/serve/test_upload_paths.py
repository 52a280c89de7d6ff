"""Places of uploaded photos: which are below the folder, and which are not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.errors import DataError
from hgan.runtime.photo_names import parts_of
from hgan.serve.upload_paths import TakenError, place_of

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
