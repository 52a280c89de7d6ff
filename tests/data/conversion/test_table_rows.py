"""Rows of tables: their photos, names and captions, and what leaves a row out."""

from pathlib import Path

import pytest

from hgan.data.conversion.convert import convert
from tests.fixtures.hub_tables import content, inside, photo, write_parquet


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
