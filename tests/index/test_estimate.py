"""Estimates: what is counted and measured, how it is printed, and that nothing is written."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hgan.cli import main
from hgan.errors import HganError
from hgan.index import estimate as module
from hgan.index.estimate import ENTRY_BYTES, LOG_BYTES, TRIED, Estimate, estimate
from hgan.index.indexer import index_folder
from hgan.sources.left_out import LeftOut
from tests.fixtures.photos import save_photo


def test_photos_are_counted_and_some_are_tried(photos, bundle):
    (photos / "link.png").symlink_to("nowhere.png")
    found = estimate(photos, bundle)
    assert (found.photos, found.skipped, found.tried) == (12, 1, 12)
    for i in range(30):
        save_photo(photos / f"more/{i}.png", (200, 200, 0), seed=i)
    (photos / "more/0.png").write_bytes(b"no photo")
    found = estimate(photos, bundle)
    assert (found.photos, found.skipped, found.tried) == (41, 2, TRIED)
    assert found.seconds > 0


def test_time_is_that_of_the_photos_tried(photos, bundle, monkeypatch):
    clock = iter([100.0, 106.0])
    monkeypatch.setattr(module, "perf_counter", lambda: next(clock))
    for i in range(36):
        save_photo(photos / f"more/{i}.png", (200, 200, 0), seed=i)
    found = estimate(photos, bundle)
    assert (found.photos, found.tried) == (48, TRIED)
    assert found.seconds == pytest.approx(6 / TRIED * 48)


def test_disk_is_what_the_index_takes(photos, tmp_path, bundle):
    """Vectors of the tiny bundle are tiny: 28 + 4 x 8 numbers."""
    found = estimate(photos, bundle)
    assert found.disk == LOG_BYTES + 12 * (2 * 28 + 2 * 32 + ENTRY_BYTES)
    assert estimate(photos, bundle, "int8").disk == LOG_BYTES + 12 * (28 + 32 + ENTRY_BYTES)
    index_folder(photos, tmp_path / "index", bundle)
    files = [file for file in (tmp_path / "index").rglob("*") if file.is_file()]
    assert sum(file.stat().st_blocks * 512 for file in files) < 1.2 * found.disk


def test_nothing_is_written(photos, tmp_path, bundle, capsys):
    before = sorted(tmp_path.rglob("*"))
    words = ["index", photos, "--to", tmp_path / "index", "--bundle", bundle.folder, "--estimate"]
    assert main([str(word) for word in words]) == 0
    assert sorted(tmp_path.rglob("*")) == before
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["photos", "disk", "memory", "time"]
    assert re.fullmatch(r"photos +12", lines[0])
    assert lines[3].endswith("photos per second, measured on 12")


def test_nothing_to_try(tmp_path, bundle):
    with pytest.raises(HganError, match="no such folder"):
        estimate(tmp_path / "nowhere", bundle)
    (tmp_path / "photos").mkdir()
    with pytest.raises(HganError, match="no photos here"):
        estimate(tmp_path / "photos", bundle)
    (tmp_path / "photos/bad.jpg").write_bytes(b"bad")
    with pytest.raises(HganError, match=r"none of the 1 photos .*bad.jpg"):
        estimate(Path(tmp_path / "photos"), bundle)


ROUND = Estimate(123_456, 0, LeftOut(), 16, 1_234_567_890, 987_654_321, 7_777.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ["123,456", "1.2 GB", "990 MB", "2.2 hours", "at 16 photos per second"]),
        ({"seconds": 1e6, "photos": 5}, ["280 hours", "at 0.000005 photos per second"]),
        ({"seconds": 5000.0}, ["83 minutes"]),
        (
            {"seconds": 0.01, "skipped": 1234},
            ["1 seconds", "skipped          1,234  cannot be read"],
        ),
        (
            {"left_out": LeftOut(videos=12)},
            ["left out            12  videos, which are read in folders only"],
        ),
        (
            {"videos": 12},
            ["videos              12  by 3 frames each, which are among the photos"],
        ),
        ({"disk": 12_300_000_000_000, "memory": 5_400_000}, ["12,000 GB", "5.4 MB"]),
    ],
)
def test_no_more_digits_than_are_known(values, expected):
    text = "\n".join(replace(ROUND, **values).lines())
    for part in expected:
        assert part in text
