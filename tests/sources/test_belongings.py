"""What is moved with a photo: what `walk` would index in its place, or attach to nothing."""

from pathlib import Path

import pytest

from hgan.errors import DataError
from hgan.sources.belongings import belongings
from hgan.sources.moves import move_back, move_out
from hgan.sources.roots import Roots


def header(seconds: int) -> bytes:
    """A QuickTime file of this length, without pictures."""
    content = bytes(12) + (600).to_bytes(4, "big") + (600 * seconds).to_bytes(4, "big") + bytes(80)
    inner = (8 + len(content)).to_bytes(4, "big") + b"mvhd" + content
    return (8 + len(inner)).to_bytes(4, "big") + b"moov" + inner


@pytest.mark.parametrize(
    ("photo", "beside", "expected"),
    [
        ("a.jpg", ["a.NEF", "A.xmp", "a.jpg.xmp", "a.nef.xmp", "b.xmp"],
         ["A.xmp", "a.NEF", "a.jpg.xmp", "a.nef.xmp"]),
        ("a.heic", ["a.mov", "a.mov.xmp", "ab.mov"], ["a.mov", "a.mov.xmp"]),
        ("a.png", ["a.mov", "a.txt", "a"], []),  # no phone saves a clip with it
        # These may belong to the other photo.
        ("a.jpg", ["a.png", "a.nef", "a.mov", "a.xmp", "a.jpg.xmp"], ["a.jpg.xmp"]),
        ("a.nef", ["a.cr2", "a.xmp"], ["a.xmp"]),  # of two RAW files, both are indexed
        ("clip.mov", ["clip.xmp", "clip.mov.xmp"], ["clip.mov.xmp", "clip.xmp"]),
    ],
)  # fmt: skip
def test_belongings(tmp_path: Path, photo: str, beside: list[str], expected: list[str]) -> None:
    for name in [photo, *beside]:
        (tmp_path / name).write_bytes(header(3))
    assert [path.name for path in belongings(tmp_path / photo)] == expected


def test_long_and_damaged_videos_are_no_clips(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.mov").write_bytes(header(9))
    (tmp_path / "a.mp4").write_bytes(b"no video")
    assert belongings(tmp_path / "a.jpg") == []


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: cannot be read"):
        belongings(tmp_path / "gone" / "a.jpg")


def test_they_are_moved_and_moved_back(tmp_path: Path) -> None:
    root, to = tmp_path / "photos", tmp_path / "copies"
    (root / "2023").mkdir(parents=True)
    names = ["2023/a.jpg", "2023/a.mov", "2023/a.nef", "2023/b.jpg"]
    for name in names:
        (root / name).write_bytes(header(3))
    moved = move_out(Roots(root), ["2023/a.jpg"], to)
    assert [path.relative_to(to).as_posix() for path in moved] == names[:3]
    assert [path.name for path in (root / "2023").iterdir()] == ["b.jpg"]
    assert len(move_back(to)[0]) == 3
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob("*.*")) == names
