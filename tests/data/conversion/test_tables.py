"""Parquet and Arrow files, as Hugging Face writes them, become folders of photos and captions."""

import json
from pathlib import Path

import pytest

from hgan.cli import main
from hgan.data.captions.read import read_captions
from hgan.data.checks.check import check
from hgan.data.conversion.convert import convert
from tests.fixtures.hub_tables import (
    coco,
    content,
    flickr30k,
    inside,
    photo,
    write_parquet,
    write_saved,
)
from tests.fixtures.scenes import draw_scene
from tests.fixtures.tiny_bundle import write_tiny_bundle


def test_flickr30k_of_the_hub(tmp_path: Path) -> None:
    rows = flickr30k(range(5))
    write_parquet(tmp_path / "hub/TEST/test/0000.parquet", rows[:3])
    write_parquet(tmp_path / "hub/TEST/test/0001.parquet", rows[3:])
    target = tmp_path / "made"
    summary = convert(tmp_path / "hub", target)
    assert summary == f"5 photos (train 2, val 2, test 1), 25 captions: {target}"
    assert content(target) == [
        {"image": row["filename"], "captions": row["caption"], "split": row["split"]}
        for row in rows
    ]
    for i, row in enumerate(rows):  # byte for byte
        assert (target / "images" / row["filename"]).read_bytes() == photo(i)
    assert check(target).ok
    assert inside(tmp_path) == ["hub", "made"]


def test_coco_of_the_hub_keeps_its_ids(tmp_path: Path) -> None:
    rows = coco(range(4))
    write_parquet(tmp_path / "hub/validation-00000-of-00001.parquet", rows)
    convert(tmp_path / "hub", tmp_path / "made")
    captions = read_captions(tmp_path / "made")
    assert captions.images == [row["filename"] for row in rows]
    assert captions.splits == ["test", "train", "test", "train"]  # restval is train
    assert captions.texts[:2] == ["A dog 0.", "The dog 0."]
    assert captions.image_ids is not None and captions.caption_ids is not None
    assert captions.image_ids.tolist() == [row["cocoid"] for row in rows]
    assert captions.caption_ids.tolist() == [key for row in rows for key in row["sentids"]]


@pytest.mark.parametrize("form", ["struct", "list"])
def test_one_caption_a_row(tmp_path: Path, form: str) -> None:
    """The older form of MS-COCO there; the photo is in every row of its captions."""
    rows = []
    for i, t in ((0, 0), (0, 1), (1, 0)):
        sentence = {"raw": f"caption {t} of {i}", "sentid": 10 * i + t}
        rows.append(
            {
                "image": {"bytes": photo(i), "path": None},
                "filename": f"{i}.jpg",
                "cocoid": i,
                "split": "test",
                "sentences": sentence if form == "struct" else [sentence],
                "sentids": [10 * i, 10 * i + 1],
            }
        )
    write_parquet(tmp_path / "a.parquet", rows)
    convert(tmp_path / "a.parquet", tmp_path / "made")
    assert content(tmp_path / "made") == [
        {
            "image": "0.jpg",
            "captions": ["caption 0 of 0", "caption 1 of 0"],
            "split": "test",
            "image_id": 0,
            "caption_ids": [0, 1],
        },
        {
            "image": "1.jpg",
            "captions": ["caption 0 of 1"],
            "split": "test",
            "image_id": 1,
            "caption_ids": [10],
        },
    ]


def test_all_captions_in_each_row_of_a_photo(tmp_path: Path) -> None:
    row = {"image": photo(0), "filename": "0.jpg", "caption": ["one", "two"], "sentids": [1, 2]}
    write_parquet(tmp_path / "train.parquet", [row, row])
    convert(tmp_path / "train.parquet", tmp_path / "made")
    (line,) = content(tmp_path / "made")
    assert (line["captions"], line["caption_ids"]) == (["one", "two"], [1, 2])


def test_flickr8k_of_the_hub_has_a_column_for_each_caption(tmp_path: Path) -> None:
    for name, i in (("train", 0), ("validation", 1), ("test", 2)):
        row = {"image": {"bytes": photo(i, "PNG"), "path": None}}
        row |= {f"caption_{t}": f"caption {t}" for t in (10, 2, 1, 0)}
        write_parquet(tmp_path / f"hub/data/{name}-00000-of-00001.parquet", [row])
    convert(tmp_path / "hub", tmp_path / "made")
    found = content(tmp_path / "made")
    assert [line["split"] for line in found] == ["test", "train", "val"]
    assert all(
        line["captions"] == ["caption 0", "caption 1", "caption 2", "caption 10"] for line in found
    )
    names = [line["image"] for line in found]
    assert names == ["00000001.png", "00000002.png", "00000003.png"]  # no names of their own
    assert all((tmp_path / "made/images" / name).is_file() for name in names)


@pytest.mark.parametrize("alone", [True, False])
def test_a_saved_data_set(tmp_path: Path, alone: bool) -> None:
    rows = [{k: v for k, v in row.items() if k != "split"} for row in flickr30k(range(4))]
    if alone:
        write_saved(tmp_path / "saved", rows, "validation")
    else:
        write_saved(tmp_path / "saved/train", rows[:2], None)
        write_saved(tmp_path / "saved/test", rows[2:], "test")
        listed = {"splits": ["train", "test", "../outside"]}
        (tmp_path / "saved/dataset_dict.json").write_text(json.dumps(listed))
        write_saved(tmp_path / "outside", flickr30k([7]), "test")
    convert(tmp_path / "saved", tmp_path / "made")
    found = content(tmp_path / "made")
    assert [line["image"] for line in found] == [row["filename"] for row in rows]
    assert [line["split"] for line in found] == (
        ["val"] * 4 if alone else ["train", "train", "test", "test"]
    )


def test_data_sets_that_the_package_itself_has_written(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    columns = {
        "image": [draw_scene(i).resize((64, 48)) for i in range(4)],
        "text": ["one", "two", "three", "four"],
    }
    kinds = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    made = datasets.Dataset.from_dict(columns, features=kinds)
    (tmp_path / "file.jpg").write_bytes(photo(9))
    paths = {"image": [str(tmp_path / "file.jpg")], "text": ["five"]}
    both = datasets.DatasetDict(
        {
            "train": made,
            "validation": datasets.Dataset.from_dict(paths, features=kinds),
        }
    )
    both.save_to_disk(tmp_path / "saved", num_shards={"train": 2, "validation": 1})
    (tmp_path / "file.jpg").unlink()
    convert(tmp_path / "saved", tmp_path / "made")
    found = content(tmp_path / "made")
    expected = [[text] for text in both["train"]["text"]]
    assert [line["captions"] for line in found] == [*expected, ["five"]]
    assert [line["split"] for line in found] == ["train"] * 4 + ["val"]
    assert (tmp_path / "made/images/file.jpg").read_bytes() == photo(9)
    made.to_parquet(tmp_path / "one.parquet")
    convert(tmp_path / "one.parquet", tmp_path / "other", split="dev")
    assert [line["split"] for line in content(tmp_path / "other")] == ["val"] * 4


def test_the_folder_is_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(tmp_path / "set/test-0.parquet", [r | {"split": None} for r in coco(range(4))])
    target = str(tmp_path / "made")
    assert main(["data", "convert", str(tmp_path / "set"), target]) == 0
    assert "4 photos (test 4), 8 captions" in capsys.readouterr().out
    bundle = str(write_tiny_bundle(tmp_path / "bundle"))
    assert main(["evaluate", bundle, "--captions", target]) == 0
    assert "4 photos, 8 captions" in " ".join(capsys.readouterr().out.split())
