"""COCO's annotations: photos and captions are joined by the photo's id."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hgan.data.captions.read import read_captions, scan_captions
from hgan.data.captions.types import Record
from hgan.errors import DataError
from tests.fixtures.caption_files import problems, write_text

DATA = Path(os.environ.get("HGAN_DATA", "data"))

COCO: dict[str, Any] = {
    "info": {"year": 2017},
    "images": [
        {"id": 9, "file_name": "b.jpg", "height": 2},
        {"id": 2**40, "file_name": "a.jpg"},
    ],
    "annotations": [
        {"id": 5, "image_id": 2**40, "caption": "A cat .\n"},
        {"id": 7, "image_id": 9, "caption": "A dog"},
        {"id": 6, "image_id": 2**40, "caption": "Eine Katze"},
    ],
}


def coco(**changes: Any) -> str:
    return json.dumps(COCO | changes)


@pytest.mark.parametrize("name", ["captions_val2017.json", "any.txt"])
def test_coco_annotations_are_joined_by_the_photos_id(tmp_path: Path, name: str) -> None:
    captions = read_captions(write_text(tmp_path / name, coco()))
    assert captions.images == ["b.jpg", "a.jpg"]
    assert captions.texts == ["A dog", "A cat .", "Eine Katze"]
    assert captions.image_of.tolist() == [0, 1, 1]
    assert captions.splits == [None, None]
    assert captions.image_ids.tolist() == [9, 2**40]
    assert captions.caption_ids.tolist() == [7, 5, 6]
    assert captions.image_ids.dtype == captions.caption_ids.dtype == np.int64


IMAGES, ANNOTATIONS = COCO["images"], COCO["annotations"]
BAD = {
    # name: (changes, kind, where, words)
    "no list": ({"annotations": {}}, "malformed", ".json", "not both lists"),
    "image no object": ({"images": [*IMAGES, 3]}, "malformed", "images[2]", "file_name"),
    "image without id": (
        {"images": [*IMAGES, {"file_name": "c"}]}, "malformed", "images[2]", '"id"'),
    "id is true": (
        {"images": [*IMAGES, {"id": True, "file_name": "c"}]}, "malformed", "images[2]", '"id"'),
    "id beyond int64": (
        {"images": [*IMAGES, {"id": 2**63, "file_name": "c"}]}, "malformed", "images[2]", '"id"'),
    "id twice": (
        {"images": [*IMAGES, {"id": 9, "file_name": "c"}]},
        "photo listed twice", "images[2]", "already used by b.jpg at"),
    "name twice": (
        {"images": [*IMAGES, {"id": 1, "file_name": "b.jpg"}]},
        "photo listed twice", "images[2]", "b.jpg is already listed"),
    "photo without captions": (
        {"images": [*IMAGES, {"id": 1, "file_name": "c.jpg"}]},
        "photo without captions", "images[2]", "c.jpg has no captions"),
    "photo unknown": (
        {"annotations": [*ANNOTATIONS, {"id": 1, "image_id": 3, "caption": "x"}]},
        "malformed", "annotations[3]", 'no photo in "images" has'),
    "instances": (
        {"annotations": [*ANNOTATIONS, {"id": 1, "image_id": 9, "bbox": []}]},
        "malformed", "annotations[3]", "captions_*.json"),
    "empty caption": (
        {"annotations": [*ANNOTATIONS, {"id": 1, "image_id": 9, "caption": " "}]},
        "empty caption", "annotations[3]", "no words"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_annotations_is_named_with_its_place(tmp_path: Path, case: str) -> None:
    changes, kind, where, words = BAD[case]
    path = write_text(tmp_path / "captions_x.json", coco(**changes))
    (problem,) = problems(path)
    assert problem.kind == kind and problem.where.endswith(where) and words in problem.text
    with pytest.raises(DataError):
        read_captions(path)


def test_an_empty_caption_takes_its_id_along(tmp_path: Path) -> None:
    annotations = [{"id": 1, "image_id": 9, "caption": " "}, *ANNOTATIONS]
    path = write_text(tmp_path / "captions_x.json", coco(annotations=annotations))
    records = [found for found in scan_captions(path) if isinstance(found, Record)]
    assert [(r.captions, r.caption_ids) for r in records] == [
        (["A dog"], [7]),
        (["A cat .", "Eine Katze"], [5, 6]),
    ]


def test_coco_val2017() -> None:
    path = DATA / "coco_text" / "captions_val2017.json"
    if not path.is_file():
        pytest.skip(f"no {path}; set HGAN_DATA to the folder that holds coco_text/")
    captions = read_captions(path.parent)
    assert (len(captions.images), len(captions.texts)) == (5_000, 25_014)
    assert len(np.unique(captions.caption_ids)) == 25_014
    raw = json.loads(path.read_text())
    names = {image["id"]: image["file_name"] for image in raw["images"]}
    assert [names[key] for key in captions.image_ids] == captions.images
    texts = {entry["id"]: entry["caption"].strip() for entry in raw["annotations"]}
    owners = {entry["id"]: entry["image_id"] for entry in raw["annotations"]}
    assert [texts[key] for key in captions.caption_ids] == captions.texts
    owner_ids = captions.image_ids[captions.image_of]
    assert [owners[key] for key in captions.caption_ids] == owner_ids.tolist()
