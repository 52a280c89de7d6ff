"""`hgan data check`: what is checked at a path, and how it is printed."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hgan.data.checks.check import check
from hgan.data.checks.report import Report
from hgan.errors import DataError
from tests.fixtures.check_data import write_data_set


def printed(report: Report) -> str:
    console = Console(file=io.StringIO(), width=100)
    report.render(console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_sound_data_set(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    path = write_data_set(tmp_path, records)
    for where in (path, tmp_path):
        report = check(where)
        assert report.ok and not report.findings
        assert report.counts == {
            "train": {"photos": 2, "captions": 2},
            "val": {"photos": 1, "captions": 1},
            "test": {"photos": 1, "captions": 1},
        }
    assert printed(report).endswith("ready for training\n")


def test_every_problem_is_found_at_once(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    path = write_data_set(tmp_path, records)
    photos = tmp_path / "images"
    (photos / "0.png").unlink()
    (photos / "1.png").write_bytes((photos / "1.png").read_bytes()[:50])
    with path.open("a") as file:
        file.write('{"image": "2.png", "captions": ["a dog on grass"], "split": "train"}\n')
        file.write('{"image": "3.png", "captions": ["a dog on sand"], "split": "test"}\n')
        file.write('{"image": "4.png", "captions": []}\nnonsense\n')
    report = check(path)
    assert not report.ok
    found = {f.kind: (f.severity, f.count, f.examples[0]) for f in report.findings}
    assert {kind: found[kind][:2] for kind in found} == {
        "photo in several splits": ("error", 1),
        "photo listed twice": ("error", 1),
        "photo without captions": ("error", 1),
        "malformed": ("error", 1),
        "photo missing": ("error", 1),
        "photo cannot be decoded": ("error", 1),
    }
    lines = {"photo in several splits": 5, "photo listed twice": 6, "photo without captions": 7,
             "malformed": 8, "photo missing": 1, "photo cannot be decoded": 2}  # fmt: skip
    for kind, line in lines.items():
        assert found[kind][2].startswith(f"{path}:{line}: "), found[kind]


def test_photo_folders(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    path = write_data_set(tmp_path, records)
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    assert next(f for f in check(path).findings if f.kind == "photo missing").count == 4
    assert check(path, tmp_path / "elsewhere").ok
    flat = tmp_path / "elsewhere" / "captions.jsonl"
    path.rename(flat)
    report = check(flat)
    assert report.ok and not report.findings


def test_few_examples_of_many_cases(tmp_path: Path) -> None:
    records = [
        {"image": f"{i}.png", "captions": ["dog"], "split": ["train", "val"][i % 2]}
        for i in range(20)
    ]
    report = check(write_data_set(tmp_path, records))
    note = next(f for f in report.findings if f.severity == "note")
    assert (note.count, len(note.examples)) == (20, 5)
    text = printed(report)
    assert "and 15 more" in text
    assert text.index("warning: caption shared") < text.index("note: caption under 3 words")
    shared = next(f for f in report.findings if f.severity == "warning")
    assert shared.count == 1 and "and 17 more" in shared.examples[0]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        check(tmp_path / "absent")
    with pytest.raises(DataError, match="caption file"):
        check(tmp_path)


@pytest.mark.slow
def test_flickr8k(flickr8k: Path) -> None:
    report = check(flickr8k)
    assert report.ok
    assert {name: row["photos"] for name, row in report.counts.items()} == {
        "train": 5997,
        "val": 1000,
        "test": 1000,
        "(none)": 94,
    }
    counts = {finding.kind: finding.count for finding in report.findings}
    assert counts["caption under 3 words"] == 17
    assert counts["identical photos"] == 1
    assert counts["photo in no split"] == 94
    pair = next(f for f in report.findings if f.kind == "identical photos").examples[0]
    assert pair.count("(train)") == 2
