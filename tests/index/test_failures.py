"""The table of what could not be indexed."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.cli import main
from hgan.errors import DataError
from hgan.index.failures import check_table, write_table

NAMES = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=20)


def rows(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_what_fails_is_in_the_file_and_not_on_the_terminal(
    photos: Path, tmp_path: Path, bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "red/broken.jpg").write_bytes(b"no photo")
    (photos / "blue/nowhere.jpg").symlink_to("absent")
    file = tmp_path / "failed.jsonl"
    words = ["index", str(photos), "--to", str(tmp_path / "index"), "--model", str(bundle.folder)]
    assert main([*words, "--failed", str(file)]) == 0
    shown = capsys.readouterr()
    assert "12 added" in shown.out and "2 skipped" in shown.out
    assert shown.err.splitlines()[0] == f"skipped 2, listed in {file}"
    assert "nowhere" not in shown.err
    assert [row["path"] for row in rows(file)] == ["blue/nowhere.jpg", "red/broken.jpg"]
    assert rows(file)[0]["reason"] == "a link that leads nowhere"
    assert "red/broken.jpg" not in rows(file)[1]["reason"]
    (photos / "red/broken.jpg").unlink()
    (photos / "blue/nowhere.jpg").unlink()
    assert main([*words, "--failed", str(file)]) == 0
    assert file.read_bytes() == b""
    assert "listed in" not in capsys.readouterr().err


def test_of_texts(tmp_path: Path, bundle, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "texts.txt").write_text("a dog\n\x00\n")
    file = tmp_path / "failed.jsonl"
    words = ["index", str(tmp_path / "texts.txt"), "--to", str(tmp_path / "index")]
    assert main([*words, "--model", str(bundle.folder), "--failed", str(file)]) == 0
    assert f"{len(rows(file))} skipped" in capsys.readouterr().out


def test_files_that_cannot_be_written_are_refused_before_any_work(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine\n")
    (tmp_path / "list.json").write_text('["path"]\n')
    cases = {
        tmp_path / "absent/failed.jsonl": "its folder does not exist",
        tmp_path / "notes.txt": "would be overwritten",
        tmp_path / "list.json": "would be overwritten",
        photos: "cannot be written",
    }
    for file, reason in cases.items():
        words = ["index", str(photos), "--to", str(tmp_path / "index"), "--failed", str(file)]
        assert main(words) == 2
        assert reason in capsys.readouterr().err
    assert not (tmp_path / "index").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match="cannot be written"):
        check_table(tmp_path / "failed.jsonl")


@pytest.mark.parametrize("option", ["--estimate", "--watch", "--verify"])
def test_verbs_without_a_table(
    option: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", str(photos), option, "--failed", str(tmp_path / "failed.jsonl")]) == 2
    assert "omit --failed" in capsys.readouterr().err


@given(st.dictionaries(NAMES, st.text(max_size=20), max_size=5))
def test_any_names_come_back(tmp_path_factory: pytest.TempPathFactory, skipped) -> None:
    file = tmp_path_factory.mktemp("table") / "failed.jsonl"
    write_table(file, {path: f"{path}: {why}" for path, why in skipped.items()})
    assert [row["path"] for row in rows(file)] == sorted(skipped)
    check_table(file)
