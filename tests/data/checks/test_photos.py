"""Checks of photos: identical ones, and those without captions."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hgan.data.checks.check import check
from hgan.data.checks.report import Finding, Report
from tests.fixtures.check_data import only_finding, save_photo, write_data_set


def printed(report: Report) -> str:
    console = Console(file=io.StringIO(), width=100)
    report.render(console)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("first", "second", "severity"),
    [(0, 1, "warning"), (0, 2, "error"), (0, 3, "error"), (2, 3, "error")],
)
def test_identical_photos(
    tmp_path: Path, records: list[dict[str, Any]], first: int, second: int, severity: str
) -> None:
    path = write_data_set(tmp_path, records)
    data = (tmp_path / "images" / f"{first}.png").read_bytes()
    (tmp_path / "images" / f"{second}.png").write_bytes(data)
    report = check(path)
    finding = only_finding(report)
    assert finding.severity == severity and report.ok == (severity == "warning")
    assert finding.kind.startswith("identical photos")
    assert f"{first}.png" in finding.examples[0] and f"{second}.png" in finding.examples[0]


def test_an_identical_photo_in_no_split_is_a_warning(
    tmp_path: Path, records: list[dict[str, Any]]
) -> None:
    records[1]["split"] = None
    path = write_data_set(tmp_path, records)
    save_photo(tmp_path / "images" / "1.png", 0)
    report = check(path)
    assert report.ok
    assert {f.kind for f in report.findings} == {"identical photos", "photo in no split"}


def test_photos_without_a_caption(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    records[0]["image"] = "sub/0.png"
    path = write_data_set(tmp_path, records)
    save_photo(tmp_path / "images" / "sub" / "new.JPG", 3)
    (tmp_path / "images" / "loop").symlink_to(tmp_path)
    (tmp_path / "images" / "notes.txt").write_text("no photo")
    finding = only_finding(check(path))
    assert finding == Finding("photo without a caption", "warning", 1, ["sub/new.JPG"])


def test_a_file_name_that_is_not_utf8_is_printed(
    tmp_path: Path, records: list[dict[str, Any]]
) -> None:
    path = write_data_set(tmp_path, records)
    try:
        save_photo(tmp_path / "images" / os.fsdecode(b"caf\xe9[red].png"), 3)
    except OSError:
        pytest.skip("this file system refuses names that are not UTF-8")
    report = check(path)
    assert only_finding(report).examples == ["caf\\udce9[red].png"]
    assert "caf\\udce9[red].png" in printed(report).encode().decode()
    assert json.loads(json.dumps(report.as_dict()))["findings"][0]["count"] == 1
