"""Records are found at any depth, checked, and grouped; damaged ones are reported."""

import json
from pathlib import Path

import numpy as np
import pytest

from hgan.errors import DataError
from hgan.evaluation.metrics import recall
from hgan.reporting.records import find_records, read_split
from tests.fixtures.records import write_captions, write_run


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    return write_captions(tmp_path / "data")


def test_systems_are_named_by_the_folder_above_the_seed(captions: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("full", "ablations/no_mfar"):
        for seed in (2, 1):
            write_run(runs / name, captions, seed)
    systems, problems = find_records([runs], "test")
    assert {name: [r.figures["seed"] for r in found] for name, found in systems.items()} == {
        "full": [1, 2],
        "ablations/no_mfar": [1, 2],
    }
    assert problems == []
    assert set(find_records([runs / "ablations"], "test")[0]) == {"no_mfar"}
    assert set(find_records([runs / "full"], "test")[0]) == {"full"}
    assert set(find_records([runs / "full" / "seed1"], "test")[0]) == {"full"}
    record = systems["full"][0]
    assert (record.final, record.minutes, record.data[1]) == ("S", 9.0, 30)
    assert record.metrics("full")["rsum"] == record.figures["protocols"]["full"]["S"]["rsum"]


def test_overlapping_folders_count_a_record_once(captions: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "full", captions)
    systems, _ = find_records([tmp_path / "runs", tmp_path / "runs" / "full"], "test")
    assert [len(found) for found in systems.values()] == [1]


def test_two_records_of_one_system_and_seed_are_refused(captions: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "a" / "full", captions)
    write_run(tmp_path / "b" / "full", captions)
    with pytest.raises(DataError, match=r"both seed 1 of 'full'.*their common parent folder"):
        find_records([tmp_path / "a", tmp_path / "b"], "test")
    assert set(find_records([tmp_path], "test")[0]) == {"a/full", "b/full"}


def damage(run: Path, what: str) -> None:
    record = json.loads((run / "test.json").read_text())
    if what == "missing":
        (run / "test.json").unlink()
    elif what == "has no cost":
        del record["cost"]
    elif what == "version 2 is unknown":
        record["format_version"] = 2
    elif what == "No such file":
        (run / "test.npz").unlink()
    elif what == "rSum of S is":
        record["protocols"]["full"]["S"]["rsum"] += 1
    elif what == "File is not a zip":
        (run / "test.npz").write_bytes(b"PK\x03\x04 cut")
    elif what == "are not for 29 photos":
        record["photos"] = 29
    if (run / "test.json").exists():
        text = "{" if what == "JSONDecodeError" else json.dumps(record)
        (run / "test.json").write_text(text)


@pytest.mark.parametrize(
    "what",
    [
        "missing",
        "has no cost",
        "version 2 is unknown",
        "No such file",
        "rSum of S is",
        "File is not a zip",
        "are not for 29 photos",
        "JSONDecodeError",
    ],
)
def test_a_damaged_record_is_listed_and_the_others_go_on(
    what: str, captions: Path, tmp_path: Path
) -> None:
    good, bad = (write_run(tmp_path / "runs" / name, captions) for name in ("good", "bad"))
    damage(bad, what)
    systems, problems = find_records([tmp_path / "runs"], "test")
    assert [found[0].folder for found in systems.values()] == [good]
    assert len(problems) == 1
    assert what in problems[0] and str(bad) in problems[0] and "hgan evaluate" in problems[0]


def test_pickled_arrays_are_not_read(captions: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "full", captions)
    with np.load(run / "test.npz") as stored:
        arrays = dict(stored)
    arrays["image_to_text/S"] = np.array([{"a": 1}] * 30, dtype=object)
    np.savez(run / "test.npz", **arrays)
    with pytest.raises(DataError, match="allow_pickle=False"):
        find_records([tmp_path / "runs"], "test")


def test_nothing_found_says_what_to_do(captions: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "full", captions)
    with pytest.raises(DataError, match=r"hgan evaluate RUN/seedS/best --split val(.|\n)*full"):
        find_records([tmp_path / "runs"], "val")
    with pytest.raises(DataError, match="no such folder"):
        find_records([tmp_path / "nowhere"], "test")


def test_records_of_several_data_sets_are_refused(captions: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a", captions)
    write_run(tmp_path / "runs" / "b", write_captions(tmp_path / "other", photos=12))
    with pytest.raises(DataError, match=r"other/captions.jsonl \(12 photos, 30 captions\)"):
        find_records([tmp_path / "runs"], "test")


def test_a_caption_file_that_has_changed_is_noticed(captions: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "full", captions)
    record = find_records([tmp_path / "runs"], "test")[0]["full"][0]
    assert len(read_split(record).images) == 30
    write_captions(captions.parent, photos=8)
    with pytest.raises(DataError, match="has 8 photos and 20 captions in test"):
        read_split(record)


def test_a_protocol_that_a_record_lacks(captions: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "full", captions)
    record = find_records([tmp_path / "runs"], "test")[0]["full"][0]
    command = r"hgan evaluate .*best --split test --protocol coco-1k"
    with pytest.raises(DataError, match=f"only for full; add them with `{command}`"):
        record.metrics("coco-1k")


def test_an_ensemble_lies_in_a_folder_without_a_seed(captions: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "x", captions, ensemble=["a", "b"], weights={})
    figures = json.loads((run / "test.json").read_text()) | {"seed": None, "epoch": None}
    (run / "test.json").write_text(json.dumps(figures))
    run.rename(tmp_path / "runs" / "sgraf")
    (record,) = find_records([tmp_path / "runs"], "test")[0]["sgraf"]
    assert record.is_ensemble and record.name == "sgraf"


def test_recall_counts_ranks_from_zero() -> None:
    assert recall(np.array([0, 1, 4, 5, 10]), 5) == 60.0
