"""Parquet and Arrow files, as Hugging Face writes them, become folders of photos and captions."""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import ipc, parquet

from hgan.cli import main
from hgan.data.captions.read import read_captions
from hgan.data.checks.check import check
from hgan.data.conversion.convert import convert
from hgan.errors import ConfigError, DataError
from tests.fixtures.hub import hub_of
from tests.fixtures.scenes import draw_scene
from tests.fixtures.tiny_bundle import write_tiny_bundle

Rows = Sequence[dict[str, Any]]
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""The type of a column of photos of Hugging Face."""


def photo(number: int, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    draw_scene(number).resize((96, 72)).save(file, kind)
    return file.getvalue()


def table(rows: Rows) -> pa.Table:
    made = pa.Table.from_pylist(list(rows))
    if "image" in made.column_names and pa.types.is_struct(made.schema.field("image").type):
        place = made.schema.get_field_index("image")
        made = made.set_column(place, "image", made["image"].cast(IMAGE))
    return made


def write_parquet(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table(rows), path, row_group_size=2)
    return path


def write_saved(folder: Path, rows: Rows, split: str | None) -> Path:
    """The files of `Dataset.save_to_disk`, which are in Arrow's format of streams."""
    folder.mkdir(parents=True)
    made = table(rows)
    halves = made.slice(0, 1), made.slice(1)
    for number, half in enumerate(halves):
        name = f"data-{number:05}-of-00002.arrow"
        with ipc.new_stream(str(folder / name), made.schema) as writer:
            writer.write_table(half)
    (folder / "state.json").write_text(json.dumps({"_split": split}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def flickr30k(numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of `nlphuji/flickr30k`: one split `test` with all, and the split in a column."""
    return [
        {
            "image": {"bytes": photo(i), "path": f"{i}.jpg"},
            "caption": [f"caption {t} of photo {i} ." for t in range(5)],
            "sentids": [str(5 * i + t) for t in range(5)],
            "split": ("train", "val", "test")[i % 3],
            "img_id": str(i),
            "filename": f"100009279{i}.jpg",
        }
        for i in numbers
    ]


def coco(numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of `HuggingFaceM4/COCO`, configuration `2014_captions`."""
    return [
        {
            "image": {"bytes": photo(i), "path": None},
            "filepath": f"COCO_val2014_{i:012}.jpg",
            "sentids": [7 * i, 7 * i + 3],
            "filename": f"COCO_val2014_{i:012}.jpg",
            "imgid": 100 + i,
            "split": "restval" if i % 2 else "test",
            "sentences_tokens": [["a", "dog"], ["the", "dog"]],
            "sentences_raw": [f"A dog {i}.", f"The dog {i}. "],
            "sentences_sentid": [7 * i, 7 * i + 3],
            "cocoid": 391895 + i,
        }
        for i in numbers
    ]


def inside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


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


def test_what_is_wrong_with_a_row_leaves_it_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"image": {"bytes": photo(0), "path": "a.jpg"}, "text": "a dog", "split": "train"}
    bad = [
        good | {"image": {"bytes": b"no photo", "path": "b.jpg"}},
        good | {"image": {"bytes": photo(1), "path": "c.jpg"}, "text": "  "},
        good | {"image": {"bytes": None, "path": None}},
        good | {"image": None},
        good | {"image": {"bytes": None, "path": "/etc/hostname"}},
        good | {"image": {"bytes": None, "path": "../secret.jpg"}},
    ]
    (tmp_path / "secret.jpg").write_bytes(photo(5))
    write_parquet(tmp_path / "set/train.parquet", [good, *bad])
    summary = convert(tmp_path / "set", tmp_path / "made")
    assert summary == f"1 photos (train 1), 1 captions, 6 left out: {tmp_path / 'made'}"
    shown = " ".join(capsys.readouterr().err.split())
    for number, reason in (
        (2, "not a photo"),
        (3, "no captions"),
        (4, "no photo"),
        (5, "no photo"),
        (6, "its photo is not in the table"),
        (7, "its photo is not in the table"),
    ):
        assert f"train.parquet: row {number}: " in shown and reason in shown
    assert inside(tmp_path / "made/images") == ["a.jpg"]


def test_photos_beside_the_table(tmp_path: Path) -> None:
    (tmp_path / "set/photos").mkdir(parents=True)
    (tmp_path / "set/photos/x.jpg").write_bytes(photo(3))
    write_parquet(tmp_path / "set/test.parquet", [{"image": "photos/x.jpg", "caption": "x"}])
    convert(tmp_path / "set", tmp_path / "made")
    assert (tmp_path / "made/images/x.jpg").read_bytes() == photo(3)


@pytest.mark.parametrize(
    "name",
    ["../../out.jpg", "/tmp/out.jpg", "a/../../out.jpg", "C:\\out.jpg", "nul.jpg", ".out.jpg", ""],
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    rows = [{"image": photo(0), "filename": name, "caption": "a"}]
    write_parquet(tmp_path / "here/in/train.parquet", rows)
    convert(tmp_path / "here/in", tmp_path / "here/made")
    written = [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".parquet"]
    assert sorted(p.relative_to(tmp_path / "here/made").as_posix() for p in written) == [
        "captions.jsonl",
        "images/00000001.jpg",
    ]


def test_photos_with_the_same_name_are_kept(tmp_path: Path) -> None:
    """Names differ in case alone, or not at all; and one photo is in two splits."""
    rows = [
        {"image": photo(i), "filename": name, "caption": f"{i}", "split": split}
        for i, name, split in (
            (0, "d/a.jpg", "train"),
            (1, "d/A.jpg", "train"),
            (2, "d/a.jpg", "val"),
            (0, "d/a.jpg", "val"),
        )
    ]
    write_parquet(tmp_path / "x.parquet", rows)
    convert(tmp_path / "x.parquet", tmp_path / "made")
    found = content(tmp_path / "made")
    assert [line["image"] for line in found] == [
        "d/a.jpg",
        "d/A-00000002.jpg",
        "d/a-00000003.jpg",
        "d/a-00000004.jpg",
    ]
    read = [(tmp_path / "made/images" / line["image"]).read_bytes() for line in found]
    assert read == [photo(0), photo(1), photo(2), photo(0)]


def test_a_column_can_be_named(tmp_path: Path) -> None:
    rows = [{"image": photo(0), "answer": ["one", "two"], "caption": "other"}]
    write_parquet(tmp_path / "x.parquet", rows)
    convert(tmp_path / "x.parquet", tmp_path / "made", column="answer", split="test")
    assert content(tmp_path / "made") == [
        {"image": "00000001.jpg", "captions": ["one", "two"], "split": "test"}
    ]


@pytest.mark.parametrize(
    ("rows", "column", "message"),
    [
        (
            [{"a": 1, "caption": "x"}],
            None,
            r"no column of photos; its columns are a \(int64\), ",
        ),
        (
            [{"image": b"x", "b": "x"}],
            None,
            r"no column of captions that is known; name it",
        ),
        ([{"image": b"x", "caption": "x"}], "text", r"no column text; .*caption \(string\)"),
        (
            [{"image": b"x", "caption": "x"}],
            None,
            r"no photo with captions is in the data set; ",
        ),
    ],
)
def test_tables_that_cannot_be_converted(
    tmp_path: Path, rows: Rows, column: str | None, message: str
) -> None:
    write_parquet(tmp_path / "x.parquet", rows)
    with pytest.raises(DataError, match=message):
        convert(tmp_path / "x.parquet", tmp_path / "made", column=column)
    assert inside(tmp_path) == ["x.parquet"]


@pytest.mark.parametrize("kept", [0, 5, 200, -20])
def test_a_damaged_file_leaves_nothing(tmp_path: Path, kept: int) -> None:
    file = write_parquet(tmp_path / "set/train.parquet", flickr30k(range(3)))
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"train\.parquet: damaged \(.*download or save it again"):
        convert(tmp_path / "set", tmp_path / "made")
    assert inside(tmp_path) == ["set"]


def test_a_damaged_arrow_file_leaves_nothing(tmp_path: Path) -> None:
    folder = write_saved(tmp_path / "saved", flickr30k(range(3)), "train")
    (file, _) = sorted(folder.glob("*.arrow"))
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"data-00000-of-00002\.arrow: damaged"):
        convert(folder, tmp_path / "made")
    assert inside(tmp_path) == ["saved"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "x.parquet", flickr30k([0]))
    (tmp_path / "made").mkdir()
    with pytest.raises(DataError, match="made already exists"):
        convert(file, tmp_path / "made")
    with pytest.raises(DataError, match="has photos too; the target must be a folder"):
        convert(file, tmp_path / "made.jsonl")
    (tmp_path / "c.csv").write_text("image,caption\na.jpg,a\n")
    with pytest.raises(DataError, match="--column and --split are for data sets with photos"):
        convert(tmp_path / "c.csv", tmp_path / "c.jsonl", split="train")


def test_pyarrow_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_parquet(tmp_path / "x.parquet", flickr30k([0]))
    monkeypatch.setattr("hgan.data.conversion.tables.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'hgan\[datasets\]'"):
        convert(file, tmp_path / "made")


@pytest.mark.parametrize("name", ["saved", "one.parquet", "hf-dataset:someone/pairs"])
def test_captions_say_that_it_must_be_converted(tmp_path: Path, name: str) -> None:
    write_saved(tmp_path / "saved", flickr30k([0]), "train")
    write_parquet(tmp_path / "one.parquet", flickr30k([0]))
    path = Path(name) if ":" in name else tmp_path / name
    with pytest.raises(DataError, match=f"`hgan data convert {path} FOLDER` writes"):
        read_captions(path)


def test_the_folder_is_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(tmp_path / "set/test-0.parquet", [r | {"split": None} for r in coco(range(4))])
    target = str(tmp_path / "made")
    assert main(["data", "convert", str(tmp_path / "set"), target]) == 0
    assert "4 photos (test 4), 8 captions" in capsys.readouterr().out
    bundle = str(write_tiny_bundle(tmp_path / "bundle"))
    assert main(["evaluate", bundle, "--captions", target]) == 0
    assert "4 photos, 8 captions" in " ".join(capsys.readouterr().out.split())


# --- the hub


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[list[str]]:
    """Three data sets: with Parquet files, as a script, and with configurations."""
    root = tmp_path / "repositories"
    write_parquet(root / "plain/data/train-00000-of-00001.parquet", flickr30k([0, 1]))
    (root / "plain/README.md").write_text("# Photos")
    (root / "plain/secret.pkl").write_bytes(b"not asked for")
    (root / "script").mkdir()
    (root / "script/script.py").write_text("raise SystemExit('was run')")
    write_parquet(root / "converted/TEST/test/0000.parquet", flickr30k([2]))
    write_parquet(root / "several/2014/train/0000.parquet", coco([0]))
    write_parquet(root / "several/2014/partial-test/0000.parquet", coco([1]))
    write_parquet(root / "several/2017/train/0000.parquet", coco([2]))
    repositories = {
        "datasets/someone/plain": {"main": root / "plain"},
        "datasets/someone/script": {
            "main": root / "script",
            "refs/convert/parquet": root / "converted",
        },
        "datasets/someone/several": {"main": root / "several"},
        "datasets/someone/empty": {"main": root / "script"},
    }
    with hub_of(repositories, tmp_path / "cache") as asked:
        yield asked


def test_a_data_set_on_the_hub(
    hub: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path("hf-dataset:someone/plain")
    convert(source, tmp_path / "made")
    assert [line["split"] for line in content(tmp_path / "made")] == ["train", "val"]
    assert not [path for path in hub if path.endswith((".pkl", ".md"))]
    hub.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    convert(source, tmp_path / "again")
    assert content(tmp_path / "again") == content(tmp_path / "made") and hub == []


def test_a_data_set_that_is_a_script_is_not_run(
    hub: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(Path("hf-dataset:someone/script"), tmp_path / "made")
    assert [line["image"] for line in content(tmp_path / "made")] == ["1000092792.jpg"]
    assert not [path for path in hub if path.endswith(".py")]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    convert(Path("hf-dataset:someone/script"), tmp_path / "again")
    assert content(tmp_path / "again") == content(tmp_path / "made")


def test_configurations(hub: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = "hf-dataset:someone/several"
    with pytest.raises(DataError, match=r"name one of its configurations \(2014, 2017\), as in"):
        convert(Path(source), tmp_path / "made")
    with pytest.raises(DataError, match=r"name one of its configurations \(2014, 2017\)"):
        convert(Path(source + "/2016"), tmp_path / "made")
    convert(Path(source + "/2017"), tmp_path / "made")
    assert len(content(tmp_path / "made")) == 1
    assert not [path for path in hub if "/2014/" in path]
    assert "only the first part" not in capsys.readouterr().err
    convert(Path(source + "/2014"), tmp_path / "other")
    assert len(content(tmp_path / "other")) == 2
    assert "the hub has converted only the first part" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", r"someone/empty: has no Parquet files on the hub; download it in its own form"),
        ("missing", r"neither a folder here nor a data set on the Hugging Face hub"),
        ("..", r"write hf-dataset:ORGANISATION/NAME, as in hf-dataset:nlphuji/flickr30k"),
    ],
)
def test_data_sets_that_are_not_there(
    hub: list[str], tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        convert(Path(f"hf-dataset:someone/{name}"), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_hub_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=r"hub cannot be reached .* not all files of this data set"):
        convert(Path("hf-dataset:someone/plain"), tmp_path / "made")
