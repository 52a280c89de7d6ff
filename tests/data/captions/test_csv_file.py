"""CSV with quoted cells, and rows of a photo anywhere in the file."""

from pathlib import Path

from hgan.data.captions.read import read_captions, scan_captions
from hgan.data.captions.types import Record
from tests.fixtures.caption_files import problems, write_text


def test_csv_rows_of_a_photo_may_lie_apart(tmp_path: Path) -> None:
    captions = read_captions(write_text(tmp_path / "c.csv", "image,caption\na,1\nb,2\na,3\n"))
    assert captions.images == ["a", "b"]
    assert [[captions.texts[t] for t in of] for of in captions.of_image()] == [["1", "3"], ["2"]]


def test_a_broken_csv_row_does_not_hide_the_others(tmp_path: Path) -> None:
    text = 'image,caption\na,1\nb,"2" x\nc,3\n,4\nd,5,6\ne,7\n'
    path = write_text(tmp_path / "c.csv", text)
    assert [p.where.split(":")[-1] for p in problems(path)] == ["3", "5", "6"]
    assert [f.image for f in scan_captions(path) if isinstance(f, Record)] == ["a", "c", "e"]
