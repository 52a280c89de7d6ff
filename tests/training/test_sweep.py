"""Sweeps of real runs on tiny data: failures, finished runs, interruption and continuation."""

import csv
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from hgan.cli.settings import parse_config
from hgan.errors import ConfigError
from hgan.reporting.records import find_records
from hgan.training.run import Run, is_done
from hgan.training.sweep import Job, seconds_left, sweep, threads_of_a_run
from tests.fixtures.records import write_captions, write_run
from tests.fixtures.tiny_model import tiny_config


def make_run(folder: Path, system: str, **sections: dict[str, Any]) -> Run:
    """A run on tiny data as the command line would plan it, with its settings in a file."""
    settings = tiny_config(folder, **sections).as_dict()
    file = folder / f"{system}.yaml"
    file.write_text(yaml.safe_dump(settings))
    words = ["--config", str(file), "--run", str(folder / "runs" / system), "--seed", "3"]
    return Run(system, parse_config(words), tuple(words))


@pytest.mark.slow
def test_a_failure_stops_no_other_and_what_is_done_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    runs = [
        make_run(tmp_path, "broken", text={"encoder": str(tmp_path / "nowhere")}),
        make_run(tmp_path, "good"),
    ]
    broken, good = sweep(runs, "val", jobs=2)
    assert (broken.state, broken.code) == ("failed", 2)
    assert "nowhere" in broken.log.read_text()
    assert good.state == "done"
    folder = tmp_path / "runs" / "good" / "seed3"
    record = json.loads((folder / "val.json").read_text())
    assert record["seed"] == 3 and len(good.run.log()) == 2
    assert good.run.best_rsum() == pytest.approx(record["val_rsum"])
    # Training validates as evaluation evaluates: the same captions, states and precision.
    assert record["protocols"]["full"]["S"]["rsum"] == pytest.approx(record["val_rsum"], abs=1e-6)
    assert 0 < (good.run.minutes() or 0) < 10
    commands = [line for line in good.log.read_text().splitlines() if line.startswith("$ hgan ")]
    assert [line.split()[2] for line in commands] == ["train", "evaluate"]
    systems, problems = find_records([tmp_path / "runs"], "val")
    assert list(systems) == ["good"] and problems == []
    assert systems["good"][0].minutes == good.run.minutes()

    before = good.log.stat().st_mtime_ns
    assert [job.state for job in sweep(runs[1:], "val", jobs=1)] == ["done"]
    assert good.log.stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_sweep_that_was_cut_goes_on_from_the_last_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # threads that wait for a busy processor
    run = make_run(tmp_path, "full", optim={"epochs": 4})
    log = run.folder / "log.csv"

    def stop_after_an_epoch() -> None:
        while not log.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_after_an_epoch, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        sweep([run], "val", jobs=1)
    done = len(run.log())
    assert 1 <= done < 4 and not (run.folder / "val.json").exists()
    minutes = run.minutes()
    assert minutes is not None and minutes > 0
    time.sleep(0.5)
    assert len(run.log()) == done  # no process goes on training
    (job,) = sweep([run], "val", jobs=1)
    assert job.state == "done" and job.before == done
    with log.open(newline="") as file:
        assert [float(row["epoch"]) for row in csv.DictReader(file)] == list(range(1, 5))
    assert f"resuming after epoch {done} " in " ".join(job.log.read_text().split())
    assert (run.minutes() or 0) > minutes


@pytest.mark.parametrize(
    ("usable", "jobs", "threads"), [(8, 2, "4"), (2, 1, "2"), (1, 1, "1"), (2, 4, "1")]
)
def test_runs_share_the_processors_that_this_process_may_use(
    usable: int, jobs: int, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(usable)), raising=False)
    assert threads_of_a_run(jobs) == threads
    monkeypatch.delattr(os, "sched_getaffinity")
    assert threads_of_a_run(jobs) == str(64 // jobs)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_of_a_run(jobs) == "3"


# --- what is done, from records without weights


@pytest.fixture
def kept(tmp_path: Path) -> Run:
    """A run whose record is there, without weights; and the plan that gives its settings."""
    captions = write_captions(tmp_path / "data")
    write_run(tmp_path / "runs" / "full", captions, split="val")
    words = ["--data.captions", str(captions), "--data.photos", str(tmp_path / "data" / "photos")]
    words += ["--run", str(tmp_path / "runs" / "full"), "--seed", "1"]
    return Run("full", parse_config(words), tuple(words))


def test_a_record_without_weights_counts_as_done(kept: Run) -> None:
    assert is_done(kept, "val")
    assert not is_done(kept, "test")
    before = sorted(kept.folder.iterdir())
    assert [job.state for job in sweep([kept], "val", jobs=1)] == ["done"]
    assert sorted(kept.folder.iterdir()) == before


def test_a_record_of_a_run_that_is_not_finished_does_not(kept: Run) -> None:
    (kept.folder / "log.csv").write_text("epoch,rsum_S\n1,200.0\n2,210.5\n")
    assert not is_done(kept, "val")
    assert kept.best_rsum() == 210.5
    rows = "".join(f"{i},200.0\n" for i in range(1, kept.config.optim.epochs + 1))
    (kept.folder / "log.csv").write_text(f"epoch,rsum_S\n{rows}")
    assert is_done(kept, "val")


def test_with_two_validation_sets_their_mean_counts(kept: Run) -> None:
    rows = "1,300.0,310.0,400.0\n2,320.0,312.0,390.0\n3,330.0,311.0,396.0\n"
    (kept.folder / "log.csv").write_text(f"epoch,rsum_context,rsum_S,open_rsum\n{rows}")
    assert kept.best_rsum() == 355.0  # of the first epoch


def test_a_row_that_is_being_written_does_not_count(kept: Run) -> None:
    (kept.folder / "log.csv").write_text("epoch,rsum_context\n1,200.0\n2,")
    assert len(kept.log()) == 1 and kept.best_rsum() == 200.0


def test_other_settings_are_named(kept: Run) -> None:
    config = json.loads((kept.folder / "config.json").read_text())
    config["optim"]["epochs"] = 99
    config["model"]["levels"] = ["context"]
    (kept.folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"model.levels: .*, optim.epochs: 99 in .*, 6 in"):
        sweep([kept], "val", jobs=1)


def test_a_setting_that_came_later_had_its_default(kept: Run) -> None:
    config = json.loads((kept.folder / "config.json").read_text())
    del config["loss"]["smoothing"]
    (kept.folder / "config.json").write_text(json.dumps(config))
    assert is_done(kept, "val")
    words = [*kept.arguments, "--loss.smoothing", "0.1"]
    with pytest.raises(ConfigError, match=r"loss.smoothing: 0.0 in .*, 0.1 in"):
        is_done(Run("full", parse_config(words), tuple(words)), "val")


def test_records_of_older_versions_count_as_done(tmp_path: Path) -> None:
    """They hold the settings of all matchers and losses, and `loss.kind`."""
    root = Path(__file__).parents[2]
    results = root / "results" / "flickr8k" / "compare"
    common = ["--config", str(root / "configs" / "flickr8k.yaml")]
    common += ["--config", str(root / "configs" / "flickr8k_frozen.yaml")]
    for system in ("hgan", "mean", "vse_infinity", "scan_t2i", "sgr"):
        run = tmp_path / system / "seed1"
        run.mkdir(parents=True)
        old = json.loads((results / system / "seed1" / "config.json").read_text())
        assert "kind" in old["loss"] and "reasoning" in old["model"]
        (run / "config.json").write_text(json.dumps(old))
        (run / "test.json").write_text("{}")
        words = list(common)
        if system != "hgan":
            file = root / "configs" / "baselines" / f"{system}.yaml"
            words += ["--config", str(file)]
        words += ["--run", str(tmp_path / system), "--seed", "1"]
        words += ["--optim.learning_rate", str(old["optim"]["learning_rate"])]
        assert is_done(Run(system, parse_config(words), tuple(words)), "test"), system
        words += ["--model.dropout", "0.5"]
        with pytest.raises(ConfigError, match=r"model.dropout: 0.2 in .*, 0.5 in"):
            is_done(Run(system, parse_config(words), tuple(words)), "test")


def test_a_record_without_settings_is_refused(kept: Run) -> None:
    (kept.folder / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"contains val.json but no readable config.json"):
        is_done(kept, "val")


def test_the_time_left_goes_by_the_epochs_of_this_sweep(kept: Run) -> None:
    words = (*kept.arguments[:-4], "--run", str(kept.folder.parent.parent / "other"), "--seed", "1")
    jobs = [Job(Run(name, parse_config(list(words)), words), "test", 1) for name in "ab"]
    assert seconds_left(jobs, 60.0) is None
    folder = jobs[0].run.folder
    folder.mkdir(parents=True)
    (folder / "log.csv").write_text("epoch,rsum_S\n1,200.0\n2,210.5\n")
    # Both jobs stand for the same folder here: 4 epochs in a minute, 2 x 4 of 6 are left.
    assert seconds_left(jobs, 60.0) == 120.0
