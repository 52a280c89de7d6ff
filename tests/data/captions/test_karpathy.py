"""Karpathy's JSON: ids, folders, and any number of captions for each photo."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hgan.data.captions.read import read_captions
from hgan.errors import DataError
from tests.fixtures.caption_files import write_text


def karpathy_entry(number: int, **changes: Any) -> dict[str, Any]:
    ids = [10 * number, 10 * number + 1]
    sentences = [{"raw": f"text {key}", "imgid": number, "sentid": key} for key in ids]
    entry = {"filename": f"{number}.jpg", "imgid": number, "cocoid": 1000 + number}
    return entry | {"split": "val", "sentences": sentences, "sentids": ids} | changes


def test_ids_of_karpathys_file(tmp_path: Path) -> None:
    entries = [karpathy_entry(1, split="train"), karpathy_entry(2), karpathy_entry(3)]
    path = write_text(tmp_path / "dataset_coco.json", json.dumps({"images": entries}))
    captions = read_captions(path)
    assert captions.image_ids.tolist() == [1001, 1002, 1003]
    assert captions.caption_ids.tolist() == [10, 11, 20, 21, 30, 31]
    part = captions.split("val")
    assert part.image_ids.tolist() == [1002, 1003]
    assert part.caption_ids.tolist() == [20, 21, 30, 31]
    for entry in entries:  # as Flickr's files are, and with the ids only once
        del entry["cocoid"]
        entry["sentences"] = [{"raw": sentence["raw"]} for sentence in entry["sentences"]]
    captions = read_captions(write_text(path, json.dumps({"images": entries})))
    assert captions.image_ids.tolist() == [1, 2, 3]
    assert captions.caption_ids.tolist() == [10, 11, 20, 21, 30, 31]


@pytest.mark.parametrize(
    "changes", [{"sentences": [{"raw": "x"}], "sentids": [1, 2]}, {"cocoid": "five"}]
)
def test_ids_that_not_every_photo_has_are_none(tmp_path: Path, changes: dict[str, Any]) -> None:
    entries = [karpathy_entry(1), karpathy_entry(2, **changes)]
    path = write_text(tmp_path / "dataset_coco.json", json.dumps({"images": entries}))
    captions = read_captions(path)
    assert captions.splits == ["val", "val"]
    assert (captions.image_ids is None) == ("cocoid" in changes)
    assert (captions.caption_ids is None) == ("sentids" in changes)
    assert captions.split("val").images == captions.images


@pytest.mark.parametrize("folder", [7, ["val"], "\ud800"])
def test_a_folder_that_is_not_text(tmp_path: Path, folder: object) -> None:
    content = json.dumps({"images": [karpathy_entry(1, filepath=folder)]})
    path = write_text(tmp_path / "dataset_coco.json", content)
    with pytest.raises(DataError, match=r'images\[0\]: "filepath" is not text'):
        read_captions(path)


def test_photos_may_have_any_number_of_captions(tmp_path: Path) -> None:
    """As RSICD's: Karpathy's form, five captions for most photos, fewer for some."""
    counts = {"train": [5, 1, 3], "test": [2, 5]}
    entries = [
        {
            "filename": f"{split}{i}.tif",
            "split": split,
            "sentences": [{"raw": f"{split} {i} {c}"} for c in range(count)],
        }
        for split, of_split in counts.items()
        for i, count in enumerate(of_split)
    ]
    path = write_text(tmp_path / "dataset_rsicd.json", json.dumps({"images": entries}))
    captions = read_captions(path)
    assert captions.image_of.tolist() == np.repeat(range(5), [5, 1, 3, 2, 5]).tolist()
    test = captions.split("test")
    assert test.image_of.tolist() == [0, 0, 1, 1, 1, 1, 1]
    assert [len(of) for of in test.of_image()] == [2, 5]
    for image, text in zip(test.image_of, test.texts, strict=True):
        assert text.startswith(f"test {image} ")


def test_coco_photos_lie_in_two_folders(tmp_path: Path) -> None:
    entry = {"filepath": "val2014", "filename": "x.jpg", "split": "restval"}
    entry["sentences"] = [{"raw": "A cat."}]
    captions = read_captions(write_text(tmp_path / "d.json", json.dumps({"images": [entry]})))
    assert (captions.images, captions.splits) == (["val2014/x.jpg"], ["train"])
