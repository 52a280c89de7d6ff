"""`hgan data check` on folders in SCAN's format: what it counts, each problem and its place."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from hgan.cli import main
from hgan.data.checks.check import check
from hgan.data.checks.report import Finding, Report

REGIONS, WIDTH = 3, 5
IDS = {"train": ["7", "3"], "dev": ["5", "5", "9", "9"], "test": ["1", "1"]}


def write(folder: Path, ids: dict[str, list[str]] = IDS, boxes: bool = True) -> Path:
    """A sound folder: two captions a photo, features equal for equal ids, photos of 100 x 50."""
    for split, keys in ids.items():
        (folder / f"{split}_ids.txt").write_text("".join(f"{key}\n" for key in keys))
        lines = 2 * len(keys) if split == "train" else len(keys)
        captions = (f"a {split} photo number {line}\n" for line in range(lines))
        (folder / f"{split}_caps.txt").write_text("".join(captions))
        rows = [np.random.default_rng(int(k)).normal(size=(REGIONS, WIDTH)) for k in keys]
        np.save(folder / f"{split}_ims.npy", np.stack(rows).astype(np.float32))
        if boxes:
            pixels = np.tile(np.float32([10, 20, 60, 40]), (len(keys), REGIONS, 1))
            np.save(folder / f"{split}_boxes.npy", pixels)
            np.save(folder / f"{split}_img_sizes.npy", np.tile([100, 50], (len(keys), 1)))
    return folder


def change(path: Path, place: tuple[int, ...], value: object) -> None:
    array = np.load(path)
    array[place] = value
    np.save(path, array)


def only(report: Report) -> Finding:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


def test_a_sound_folder(tmp_path: Path) -> None:
    report = check(write(tmp_path))
    assert report.ok and not report.findings
    shape = {"regions": REGIONS, "width": WIDTH, "shared captions": 0}
    assert report.counts == {
        "train": {"photos": 2, "captions": 4, "rows": 2, "copies": 0, "boxes": 6, **shape},
        "val": {"photos": 2, "captions": 4, "rows": 4, "copies": 2, "boxes": 12, **shape},
        "test": {"photos": 1, "captions": 2, "rows": 2, "copies": 1, "boxes": 6, **shape},
    }
    console = Console(file=io.StringIO(), width=120)
    report.render(console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "copies" in shown and shown.endswith("ready for training\n")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    assert main(["data", "check", str(tmp_path)]) == 0
    change(tmp_path / "dev_ims.npy", (0, 1, 2), np.nan)
    assert main(["data", "check", str(tmp_path), "--json"]) == 1
    output = capsys.readouterr().out
    found = json.loads(output[output.index("{") :])["findings"]
    assert [f["kind"] for f in found] == ["features not finite", "rows of a photo differ"]


@pytest.mark.parametrize(
    ("name", "place", "value", "kind", "severity", "where"),
    [
        ("train_ims", (1, 2, 3), np.nan, "features not finite", "error", "row 1 (photo 3)"),
        ("train_ims", (0,), 0, "features all zero", "error", "row 0 (photo 7)"),
        ("dev_ims", (3, 0, 0), 9, "rows of a photo differ", "error", "row 3 (photo 9) differs"),
        ("dev_boxes", (2, 1, 2), 120, "box outside its photo", "error", "row 2, region 1: "),
        ("dev_boxes", (0, 0, 1), -2, "box outside its photo", "error", "row 0, region 0: "),
        ("dev_boxes", (0, 2, 2), 5, "box with x1 < x0", "error", "row 0, region 2: "),
        ("dev_boxes", (0, 2, 2), 10, "box without area", "warning", "row 0, region 2: "),
        ("dev_boxes", (0, 2, 2), np.nan, "boxes not finite", "error", "row 0"),
        ("dev_boxes", (0, 2, 2), 100.9, None, None, None),  # counts the last pixel
        ("dev_boxes", (1, 2, 2), 500, None, None, None),  # a copy, which is never read
    ],
)
def test_rows(
    tmp_path: Path,
    name: str,
    place: tuple[int, ...],
    value: float,
    kind: str | None,
    severity: str,
    where: str,
) -> None:
    path = write(tmp_path) / f"{name}.npy"
    change(path, place, value)
    report = check(tmp_path)
    if kind is None:
        assert report.ok and not report.findings
        return
    finding = only(report)
    assert finding.kind.startswith(kind)
    assert (finding.severity, finding.count) == (severity, 1)
    assert finding.examples[0].startswith(f"{path}: {where}")
    assert report.ok == (severity == "warning")


def test_problems_of_lists_and_arrays_come_together(tmp_path: Path) -> None:
    write(tmp_path)
    for name, lines in {"train_caps": "one\ntwo\nthree\n", "dev_caps": "a\n\nb\nc d e\n"}.items():
        (tmp_path / f"{name}.txt").write_text(lines)
    np.save(tmp_path / "test_ims.npy", np.ones((2, REGIONS, WIDTH)))
    path = tmp_path / "dev_ims.npy"
    path.write_bytes(path.read_bytes()[:-1])
    found = {f.kind: f.examples for f in check(tmp_path).findings if f.severity == "error"}
    assert found["malformed"][0].startswith(f"{tmp_path}/train_caps.txt:3: 3 captions, but 2 ids")
    assert found["empty caption"][0].startswith(f"{tmp_path}/dev_caps.txt:2: ")
    cut, wide = found["features cannot be used"]
    assert cut.startswith(f"{path}: missing, truncated") and "float64" in wide
    assert "no train split" in found


def test_ids_that_do_not_fit_the_rows(tmp_path: Path) -> None:
    write(tmp_path)
    np.save(tmp_path / "dev_ims.npy", np.ones((2, REGIONS, WIDTH), np.float32))
    finding = only(check(tmp_path))
    assert (finding.kind, finding.severity) == ("features cannot be used", "error")
    assert "2 rows, but 4 ids in dev_ids.txt" in finding.examples[0]


def test_a_photo_in_two_splits(tmp_path: Path) -> None:
    write(tmp_path, {"train": ["0", "1"], "dev": ["2", "0"]})
    kinds = {f.kind: f.severity for f in check(tmp_path).findings}
    assert kinds == {"photo in several splits": "error", "splits do not match": "error"}


def test_lists_without_arrays(tmp_path: Path) -> None:
    write(tmp_path)
    for path in tmp_path.glob("*.npy"):
        path.unlink()
    report = check(tmp_path)
    assert report.ok
    assert (only(report).kind, only(report).severity) == ("no features", "note")


def test_arrays_of_some_splits(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train_ims.npy").unlink()
    report = check(tmp_path)
    assert (only(report).kind, only(report).severity) == ("features missing", "error")


def test_arrays_without_captions(tmp_path: Path) -> None:
    write(tmp_path)
    for path in tmp_path.glob("*_caps.txt"):
        path.unlink()
    report = check(tmp_path)
    assert report.ok
    assert only(report) == Finding(
        "split without captions",
        "note",
        3,
        [f"{tmp_path}/{s}_ids.txt has no {s}_caps.txt" for s in IDS],
    )
    assert report.counts["val"] == {
        "photos": 2, "rows": 4, "copies": 2, "regions": REGIONS, "width": WIDTH, "boxes": 12
    }  # fmt: skip


def test_a_split_without_boxes(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "dev_boxes.npy").unlink()
    finding = only(check(tmp_path))
    assert (finding.kind, finding.severity, finding.count) == ("split without boxes", "warning", 1)


def test_testall_in_place_of_test(tmp_path: Path) -> None:
    write(tmp_path, {**IDS, "testall": ["1", "1", "2"]})
    report = check(tmp_path)
    assert (only(report).kind, only(report).severity) == ("split left out", "note")
    assert report.counts["test"]["rows"] == 3


def test_photos_are_checked_where_they_are_given(tmp_path: Path) -> None:
    (tmp_path / "precomp").mkdir()
    write(tmp_path / "precomp")
    names = {key: f"{key}.png" for keys in IDS.values() for key in keys}
    (tmp_path / "id_mapping.json").write_text(json.dumps(names))
    for key in list(names)[:-1]:
        Image.new("RGB", (8, 8), (int(key) * 20, 0, 0)).save(tmp_path / names[key])
    finding = only(check(tmp_path / "precomp", tmp_path))
    assert (finding.kind, finding.count) == ("photo missing", 1)
    assert finding.examples[0].endswith("1.png")


@pytest.mark.slow
def test_coco_in_full(tmp_path: Path) -> None:
    """The real lists of dev and testall, with few and narrow features for each of their rows."""
    lists = Path(os.environ.get("HGAN_DATA", "data")) / "scan_text" / "coco"
    if not lists.is_dir():
        pytest.skip(f"the lists of SCAN's format are not at {lists}; set HGAN_DATA")
    for path in lists.iterdir():
        (tmp_path / path.name).symlink_to(path.resolve())
    for split in ("dev", "testall"):
        ids = np.loadtxt(lists / f"{split}_ids.txt", dtype=np.int64)
        values = np.stack([np.arange(6.0).reshape(2, 3) + key for key in ids])
        np.save(tmp_path / f"{split}_ims.npy", values.astype(np.float32))
    report = check(tmp_path)
    assert report.counts == {
        "val": {
            "photos": 1_000, "captions": 5_000, "rows": 5_000, "copies": 4_000,
            "regions": 2, "width": 3, "boxes": 0, "shared captions": 14,
        },
        "test": {
            "photos": 5_000, "captions": 25_000, "rows": 25_000, "copies": 20_000,
            "regions": 2, "width": 3, "boxes": 0, "shared captions": 291,
        },
    }  # fmt: skip
    errors = [finding.kind for finding in report.findings if finding.severity == "error"]
    assert errors == ["no train split"]
