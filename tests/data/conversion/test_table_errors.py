"""Tables that cannot be converted: damaged files, missing columns, targets that exist."""

import io
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import ipc, parquet

from hgan.data.captions.read import read_captions
from hgan.data.conversion.convert import convert
from hgan.errors import ConfigError, DataError
from tests.fixtures.hub_tables import Rows, flickr30k, inside, photo, write_parquet, write_saved


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


def test_offsets_that_lead_out_of_a_file_are_not_followed(tmp_path: Path) -> None:
    """The texts of a column are between offsets, which pyarrow follows without a check."""
    made = io.BytesIO()
    texts = ["a red car", "a dog"]
    rows = pa.table({"image": [photo(0)] * 2, "caption": texts})
    with ipc.new_stream(made, rows.schema) as stream:
        stream.write_table(rows)
    right = b"".join(number.to_bytes(4, "little") for number in (0, 9, 14))
    wrong = b"".join(number.to_bytes(4, "little") for number in (0, 9, 10**9))
    assert made.getvalue().count(right) == 1
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "state.json").write_text("{}")
    (folder / "data-00000-of-00001.arrow").write_bytes(made.getvalue().replace(right, wrong))
    with pytest.raises(DataError, match=r"data-00000-of-00001\.arrow: damaged"):
        convert(folder, tmp_path / "made")
    assert inside(tmp_path) == ["saved"]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize("name", ["caption", "split", "image"])
def test_two_columns_of_one_name(tmp_path: Path, name: str, form: str) -> None:
    values = {"image": [photo(0)], "caption": ["a dog"], "split": ["train"]}
    names = [*values, name]
    rows = pa.table([pa.array(values[one]) for one in names], names=names)
    folder = tmp_path / "set"
    folder.mkdir()
    if form == "parquet":
        parquet.write_table(rows, folder / "train.parquet")
    else:
        (folder / "state.json").write_text("{}")
        with ipc.new_stream(str(folder / "train.arrow"), rows.schema) as stream:
            stream.write_table(rows)
    with pytest.raises(DataError, match=f"train.{form}: has several columns named {name}; rename"):
        convert(folder, tmp_path / "made")
