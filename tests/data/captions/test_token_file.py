"""Token files of Flickr8k and Flickr30k."""

from pathlib import Path

import pytest

from hgan.data.captions.read import read_captions
from tests.fixtures.caption_files import problems, write_text


@pytest.mark.parametrize("name", ["results_20130124.token", "Flickr8k.token.txt"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_token_files(tmp_path: Path, name: str, ending: str) -> None:
    lines = ["1.jpg#0\tTwo dogs , {one} black .", "1.jpg#1\tA\tdog", "a#b.jpg#0\t Ein Hund ", ""]
    write_text(tmp_path / name, ending.join(lines))
    captions = read_captions(tmp_path)
    assert captions.images == ["1.jpg", "a#b.jpg"]
    assert captions.texts == ["Two dogs , {one} black .", "A\tdog", "Ein Hund"]
    assert captions.image_of.tolist() == [0, 0, 1]
    assert captions.splits == [None, None]
    assert captions.image_ids is None and captions.caption_ids is None


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("2.jpg#1 A dog", "malformed"),
        ("2.jpg\tA dog", "malformed"),
        ("#0\tA dog", "malformed"),
        ("2.jpg#0\t ", "empty caption"),
    ],
)
def test_a_bad_line_of_a_token_file(tmp_path: Path, line: str, kind: str) -> None:
    path = write_text(tmp_path / "c.token", f"1.jpg#0\tA cat\n\n{line}\n")
    (problem,) = problems(path)
    assert (problem.kind, problem.where) == (kind, f"{path}:3")
