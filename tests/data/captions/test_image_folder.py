"""The metadata of an ImageFolder is read where it is, beside its photos."""

import json
from pathlib import Path
from typing import Any

import pytest

from hgan.data.captions.read import find_photos, read_captions
from hgan.data.checks.check import check
from hgan.errors import DataError
from tests.fixtures.scenes import save_scene


def write_lines(path: Path, *lines: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("key", ["text", "caption", "captions"])
@pytest.mark.parametrize("several", [False, True])
def test_lines(tmp_path: Path, key: str, several: bool) -> None:
    value = ["a dog ", "the dog"] if several else "a dog "
    line = {"file_name": "photos/0.jpg", key: value, "split": "validation", "label": 3}
    write_lines(tmp_path / "metadata.jsonl", line)
    captions = read_captions(tmp_path)
    assert captions.images == ["photos/0.jpg"] and captions.splits == ["val"]
    assert captions.texts == (["a dog", "the dog"] if several else ["a dog"])
    assert find_photos(tmp_path) == tmp_path


def test_csv(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text(
        'label,text,file_name,text2\n1,a dog,0.jpg,x\n2,"a cat, red",1.jpg,y\n1,one dog,0.jpg,z\n'
    )
    captions = read_captions(tmp_path)
    assert captions.images == ["0.jpg", "1.jpg"]
    assert captions.texts == ["a dog", "one dog", "a cat, red"]


def test_a_folder_for_each_split(tmp_path: Path) -> None:
    for number, (split, ending) in enumerate((("train", "jsonl"), ("validation", "csv"))):
        save_scene(tmp_path / split / "0.jpg", number)
        file = tmp_path / split / f"metadata.{ending}"
        if ending == "csv":
            file.write_text("file_name,text\n0.jpg,a cat\n")
        else:
            write_lines(file, {"file_name": "0.jpg", "text": "a dog"})
    captions = read_captions(tmp_path)
    assert captions.images == ["train/0.jpg", "validation/0.jpg"]
    assert captions.splits == ["train", "val"] and captions.texts == ["a dog", "a cat"]
    assert find_photos(tmp_path) == tmp_path
    assert check(tmp_path).ok  # all photos are where they are expected


def test_the_split_of_a_line_is_preferred(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "test/metadata.jsonl",
        {"file_name": "0.jpg", "text": "a", "split": "train"},
        {"file_name": "1.jpg", "text": "b"},
    )
    assert read_captions(tmp_path).splits == ["train", "test"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"file_name": 3, "text": "a"}, '"file_name" is not a file name'),
        ({"file_name": "0.jpg", "label": 1}, "no captions; .* not in file_name, label"),
        ({"file_name": "0.jpg", "text": 3}, '"text" is neither text nor a list of texts'),
        ({"file_name": "0.jpg", "text": ["a", 3]}, '"text" is neither text nor a list of texts'),
        ({"file_name": "0.jpg", "text": "a", "split": 1}, '"split" is neither text nor null'),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, line: dict[str, Any], message: str
) -> None:
    good = {"file_name": "9.jpg", "text": "a"}
    path = write_lines(tmp_path / "metadata.jsonl", good, line)
    with pytest.raises(DataError, match=f"^{path}:2: {message}"):
        read_captions(tmp_path)


def test_csv_without_captions(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,label\n0.jpg,3\n")
    with pytest.raises(DataError, match=r"metadata.csv:1: the header is 'file_name,label', not"):
        read_captions(tmp_path)


def test_photos_of_splits_are_checked_in_their_folders(tmp_path: Path) -> None:
    write_lines(tmp_path / "train/metadata.jsonl", {"file_name": "gone.jpg", "text": "a"})
    report = check(tmp_path)
    assert "train/gone.jpg" in json.dumps(report.as_dict())
