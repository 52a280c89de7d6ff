"""COCO's annotations, token files, the data set's own ids, and full-size files of the field."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.data.captions.read import read_captions, scan_captions
from hgan.data.captions.types import Problem, Record
from hgan.errors import DataError

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


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def coco(**changes: Any) -> str:
    return json.dumps(COCO | changes)


def problems(path: Path) -> list[Problem]:
    return [found for found in scan_captions(path) if isinstance(found, Problem)]


@pytest.mark.parametrize("name", ["captions_val2017.json", "any.txt"])
def test_coco_annotations_are_joined_by_the_photos_id(tmp_path: Path, name: str) -> None:
    captions = read_captions(write(tmp_path / name, coco()))
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
        "photo listed twice", "images[2]", "already that of b.jpg at"),
    "name twice": (
        {"images": [*IMAGES, {"id": 1, "file_name": "b.jpg"}]},
        "photo listed twice", "images[2]", "b.jpg is already listed"),
    "photo without captions": (
        {"images": [*IMAGES, {"id": 1, "file_name": "c.jpg"}]},
        "photo without captions", "images[2]", "c.jpg has no captions"),
    "photo unknown": (
        {"annotations": [*ANNOTATIONS, {"id": 1, "image_id": 3, "caption": "x"}]},
        "malformed", "annotations[3]", 'is of no photo in "images"'),
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
    path = write(tmp_path / "captions_x.json", coco(**changes))
    (problem,) = problems(path)
    assert problem.kind == kind and problem.where.endswith(where) and words in problem.text
    with pytest.raises(DataError):
        read_captions(path)


def test_an_empty_caption_takes_its_id_along(tmp_path: Path) -> None:
    annotations = [{"id": 1, "image_id": 9, "caption": " "}, *ANNOTATIONS]
    path = write(tmp_path / "captions_x.json", coco(annotations=annotations))
    records = [found for found in scan_captions(path) if isinstance(found, Record)]
    assert [(r.captions, r.caption_ids) for r in records] == [
        (["A dog"], [7]),
        (["A cat .", "Eine Katze"], [5, 6]),
    ]


# --- ids


def karpathy_entry(number: int, **changes: Any) -> dict[str, Any]:
    ids = [10 * number, 10 * number + 1]
    sentences = [{"raw": f"text {key}", "imgid": number, "sentid": key} for key in ids]
    entry = {"filename": f"{number}.jpg", "imgid": number, "cocoid": 1000 + number}
    return entry | {"split": "val", "sentences": sentences, "sentids": ids} | changes


def test_ids_of_karpathys_file(tmp_path: Path) -> None:
    entries = [karpathy_entry(1, split="train"), karpathy_entry(2), karpathy_entry(3)]
    path = write(tmp_path / "dataset_coco.json", json.dumps({"images": entries}))
    captions = read_captions(path)
    assert captions.image_ids.tolist() == [1001, 1002, 1003]
    assert captions.caption_ids.tolist() == [10, 11, 20, 21, 30, 31]
    part = captions.split("val")
    assert part.image_ids.tolist() == [1002, 1003]
    assert part.caption_ids.tolist() == [20, 21, 30, 31]
    for entry in entries:  # as Flickr's files are, and with the ids only once
        del entry["cocoid"]
        entry["sentences"] = [{"raw": sentence["raw"]} for sentence in entry["sentences"]]
    captions = read_captions(write(path, json.dumps({"images": entries})))
    assert captions.image_ids.tolist() == [1, 2, 3]
    assert captions.caption_ids.tolist() == [10, 11, 20, 21, 30, 31]


@pytest.mark.parametrize(
    "changes", [{"sentences": [{"raw": "x"}], "sentids": [1, 2]}, {"cocoid": "five"}]
)
def test_ids_that_not_every_photo_has_are_none(tmp_path: Path, changes: dict[str, Any]) -> None:
    entries = [karpathy_entry(1), karpathy_entry(2, **changes)]
    path = write(tmp_path / "dataset_coco.json", json.dumps({"images": entries}))
    captions = read_captions(path)
    assert captions.splits == ["val", "val"]
    assert (captions.image_ids is None) == ("cocoid" in changes)
    assert (captions.caption_ids is None) == ("sentids" in changes)
    assert captions.split("val").images == captions.images


def test_ids_of_json_lines(tmp_path: Path) -> None:
    line = {"image": "a", "captions": ["x", "y"], "image_id": 3, "caption_ids": [8, 9]}
    captions = read_captions(write(tmp_path / "captions.jsonl", json.dumps(line)))
    assert (captions.image_ids.tolist(), captions.caption_ids.tolist()) == ([3], [8, 9])


# --- token files


@pytest.mark.parametrize("name", ["results_20130124.token", "Flickr8k.token.txt"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_token_files(tmp_path: Path, name: str, ending: str) -> None:
    lines = ["1.jpg#0\tTwo dogs , {one} black .", "1.jpg#1\tA\tdog", "a#b.jpg#0\t Ein Hund ", ""]
    write(tmp_path / name, ending.join(lines))
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
    path = write(tmp_path / "c.token", f"1.jpg#0\tA cat\n\n{line}\n")
    (problem,) = problems(path)
    assert (problem.kind, problem.where) == (kind, f"{path}:3")


@given(st.text(max_size=60), st.sampled_from(["c.token", "captions_c.json", "c.txt"]))
def test_any_text_is_captions_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    folder = tmp_path_factory.mktemp("text")
    for content in (text, f"1.jpg#0\tA cat\n{text}", f'{{"images": [], "annotations": [{text}]}}'):
        path = folder / name
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        found = list(scan_captions(path))
        assert found
        if any(isinstance(f, Problem) for f in found):
            with pytest.raises(DataError):
                read_captions(path)
        else:
            assert read_captions(path).texts


# --- the field's files


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
    path = write(tmp_path / "dataset_rsicd.json", json.dumps({"images": entries}))
    captions = read_captions(path)
    assert captions.image_of.tolist() == np.repeat(range(5), [5, 1, 3, 2, 5]).tolist()
    test = captions.split("test")
    assert test.image_of.tolist() == [0, 0, 1, 1, 1, 1, 1]
    assert [len(of) for of in test.of_image()] == [2, 5]
    for image, text in zip(test.image_of, test.texts, strict=True):
        assert text.startswith(f"test {image} ")


def test_flickr30k() -> None:
    path = DATA / "flickr30k_text" / "captions.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path}; set HGAN_DATA to the folder that holds flickr30k_text/")
    captions = read_captions(path)
    assert Counter(captions.splits) == {"train": 29_000, "val": 1_014, "test": 1_000}
    assert np.bincount(captions.image_of).tolist() == [5] * 31_014
    assert len(captions.split("test").texts) == 5_000


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
