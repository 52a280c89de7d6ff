"""Checks of captions: splits, and unusual and repeated texts."""

from pathlib import Path
from typing import Any

import pytest

from hgan.data.checks.check import check
from tests.fixtures.check_data import CAPTION, only_finding, write_data_set


@pytest.mark.parametrize("split", ["val", "train"])
def test_training_needs_two_splits(
    tmp_path: Path, records: list[dict[str, Any]], split: str
) -> None:
    for record in records:
        if record["split"] == split:
            record["split"] = "extra"
    finding = only_finding(check(write_data_set(tmp_path, records)))
    assert (finding.kind, finding.severity) == (f"no {split} split", "error")
    assert "extra" in finding.examples[0]


def test_no_splits_at_all(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    for record in records:
        del record["split"]
    report = check(write_data_set(tmp_path, records))
    assert {f.kind for f in report.findings} == {"no train split", "no val split"}
    assert not report.ok


def test_a_photo_in_no_split_is_noted(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    records[0]["split"] = None
    report = check(write_data_set(tmp_path, records))
    assert report.ok
    finding = only_finding(report)
    assert (finding.kind, finding.severity) == ("photo in no split", "note")


@pytest.mark.parametrize(
    ("captions", "kind", "severity"),
    [
        ([" ".join(["word"] * 101)], "caption over 100 words", "warning"),
        ([" ".join(["word"] * 10_000)], "caption over 100 words", "warning"),
        (["雪" * 101], "caption over 100 words", "warning"),
        ([" ".join(["word"] * 100)], None, None),
        (["two dogs"], "caption under 3 words", "note"),
        (["🐕"], "caption under 3 words", "note"),
        (["两只狗在雪里跑"], None, None),
        (["three real words"], None, None),
        (["a dog runs", "", "a dog sits"], "empty caption", "error"),
        (["a dog runs", "a dog runs"], "caption repeated for its photo", "warning"),
        ([CAPTION.format(1)], "caption shared by several photos", "warning"),
    ],
)
def test_captions(
    tmp_path: Path,
    records: list[dict[str, Any]],
    captions: list[str],
    kind: str | None,
    severity: str | None,
) -> None:
    records[0]["captions"] = captions
    report = check(write_data_set(tmp_path, records))
    if kind is None:
        assert not report.findings
    else:
        finding = only_finding(report)
        assert (finding.kind, finding.severity, finding.count) == (kind, severity, 1)
        assert finding.examples[0].startswith(f"{tmp_path / 'captions.jsonl'}:1: ")
        assert len(finding.examples[0]) < 300
