"""`hgan data check`: each kind of problem is found, placed, and weighed."""

import io
import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from hgan.data.checks.check import check
from hgan.data.checks.report import Finding, Report
from hgan.data.features.store import FeatureWriter, Manifest
from hgan.errors import DataError

CAPTION = "a photo of colour {}"


def save_photo(path: Path, colour: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 12), (colour, 255 - colour, 40)).save(path)


@pytest.fixture
def records() -> list[dict[str, Any]]:
    splits = ["train", "train", "val", "test"]
    return [
        {"image": f"{i}.png", "captions": [CAPTION.format(i)], "split": split}
        for i, split in enumerate(splits)
    ]


def write(folder: Path, records: list[dict[str, Any]]) -> Path:
    """A data set: the caption file, and a photo of a colour of its own for each record."""
    for i, record in enumerate(records):
        save_photo(folder / "images" / record["image"], 10 * i)
    path = folder / "captions.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def only(report: Report) -> Finding:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


def printed(report: Report) -> str:
    console = Console(file=io.StringIO(), width=100)
    report.render(console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_sound_data_set(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    path = write(tmp_path, records)
    for where in (path, tmp_path):
        report = check(where)
        assert report.ok and not report.findings
        assert report.counts == {
            "train": {"photos": 2, "captions": 2},
            "val": {"photos": 1, "captions": 1},
            "test": {"photos": 1, "captions": 1},
        }
    assert printed(report).endswith("fit to train on\n")


def test_every_problem_is_found_at_once(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    path = write(tmp_path, records)
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


@pytest.mark.parametrize("split", ["val", "train"])
def test_training_needs_two_splits(
    tmp_path: Path, records: list[dict[str, Any]], split: str
) -> None:
    for record in records:
        if record["split"] == split:
            record["split"] = "extra"
    finding = only(check(write(tmp_path, records)))
    assert (finding.kind, finding.severity) == (f"no {split} split", "error")
    assert "extra" in finding.examples[0]


def test_no_splits_at_all(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    for record in records:
        del record["split"]
    report = check(write(tmp_path, records))
    assert {f.kind for f in report.findings} == {"no train split", "no val split"}
    assert not report.ok


def test_a_photo_in_no_split_is_noted(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    records[0]["split"] = None
    report = check(write(tmp_path, records))
    assert report.ok
    assert (only(report).kind, only(report).severity) == ("photo in no split", "note")


@pytest.mark.parametrize(
    ("first", "second", "severity"),
    [(0, 1, "warning"), (0, 2, "error"), (0, 3, "error"), (2, 3, "error")],
)
def test_identical_photos(
    tmp_path: Path, records: list[dict[str, Any]], first: int, second: int, severity: str
) -> None:
    path = write(tmp_path, records)
    data = (tmp_path / "images" / f"{first}.png").read_bytes()
    (tmp_path / "images" / f"{second}.png").write_bytes(data)
    report = check(path)
    finding = only(report)
    assert finding.severity == severity and report.ok == (severity == "warning")
    assert finding.kind.startswith("identical photos")
    assert f"{first}.png" in finding.examples[0] and f"{second}.png" in finding.examples[0]


def test_an_identical_photo_in_no_split_is_a_warning(
    tmp_path: Path, records: list[dict[str, Any]]
) -> None:
    records[1]["split"] = None
    path = write(tmp_path, records)
    save_photo(tmp_path / "images" / "1.png", 0)
    report = check(path)
    assert report.ok
    assert {f.kind for f in report.findings} == {"identical photos", "photo in no split"}


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
    report = check(write(tmp_path, records))
    if kind is None:
        assert not report.findings
    else:
        finding = only(report)
        assert (finding.kind, finding.severity, finding.count) == (kind, severity, 1)
        assert finding.examples[0].startswith(f"{tmp_path / 'captions.jsonl'}:1: ")
        assert len(finding.examples[0]) < 300


def test_photos_without_a_caption(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    records[0]["image"] = "sub/0.png"
    path = write(tmp_path, records)
    save_photo(tmp_path / "images" / "sub" / "new.JPG", 3)
    (tmp_path / "images" / "loop").symlink_to(tmp_path)
    (tmp_path / "images" / "notes.txt").write_text("no photo")
    finding = only(check(path))
    assert finding == Finding("photo without a caption", "warning", 1, ["sub/new.JPG"])


def test_a_file_name_that_is_not_utf8_is_printed(
    tmp_path: Path, records: list[dict[str, Any]]
) -> None:
    path = write(tmp_path, records)
    try:
        save_photo(tmp_path / "images" / os.fsdecode(b"caf\xe9[red].png"), 3)
    except OSError:
        pytest.skip("this file system refuses names that are not UTF-8")
    report = check(path)
    assert only(report).examples == ["caf\\udce9[red].png"]
    assert "caf\\udce9[red].png" in printed(report).encode().decode()
    assert json.loads(json.dumps(report.as_dict()))["findings"][0]["count"] == 1


def test_photo_folders(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    path = write(tmp_path, records)
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
    report = check(write(tmp_path, records))
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


def store(folder: Path, regions: np.ndarray) -> Path:
    n, views, _, width = regions.shape
    manifest = Manifest("net", 8, [[0, 0, 1, 1]], width, views, [f"{i}.jpg" for i in range(n)])
    with FeatureWriter(folder, manifest) as writer:
        writer.write(regions, regions[:, :, 0], {f"{n - 1}.jpg": "truncated"})
        writer.finish()
    return folder


def test_a_feature_store(tmp_path: Path) -> None:
    features = np.ones((4, 2, 1, 3), np.float32)
    features[3] = 0  # the skipped one
    report = check(store(tmp_path / "good", features))
    assert report.ok
    assert report.counts == {"net": {"photos": 4, "views": 2, "regions": 1, "width": 3}}
    assert only(report) == Finding("photo skipped", "warning", 1, ["3.jpg: truncated"])

    features[1] = 0
    report = check(store(tmp_path / "zeros", features))
    assert not report.ok
    assert report.findings[1] == Finding("features all zero", "error", 1, ["row 1: 1.jpg"])


def test_a_damaged_feature_store(tmp_path: Path) -> None:
    folder = store(tmp_path, np.ones((4, 2, 1, 3), np.float32))
    data = bytearray((folder / "regions.npy").read_bytes())
    data[-1] ^= 1
    (folder / "regions.npy").write_bytes(data)
    report = check(folder)
    assert not report.ok
    assert "checksum" in only(report).examples[0]


def test_features_that_are_not_finite(tmp_path: Path) -> None:
    """The writer refuses them; another program's store may hold them, checksums and all."""
    folder = store(tmp_path, np.ones((4, 2, 1, 3), np.float32))
    array = np.load(folder / "regions.npy")
    array[2, 1, 0, 1] = np.nan
    np.save(folder / "regions.npy", array)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["checksums"]["regions"] = zlib.crc32((folder / "regions.npy").read_bytes())
    (folder / "manifest.json").write_text(json.dumps(manifest))
    report = check(folder)
    assert not report.ok
    assert report.findings[-1] == Finding("features not finite", "error", 1, ["row 2: 2.jpg"])


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
