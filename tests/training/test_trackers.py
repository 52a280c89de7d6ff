"""Experiment trackers record what log.csv has, and a resumed run continues its own run there."""

import csv
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from accelerate.tracking import GeneralTracker
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hgan.errors import ConfigError
from hgan.files import parse_json
from hgan.training import trackers
from hgan.training.config import Config, load_config
from hgan.training.folder import run_folder
from hgan.training.trackers import Trackers, check_trackers, tracking
from hgan.training.trainer import Trainer, train
from tests.fixtures.runs import assert_same, finished, write_config
from tests.fixtures.tiny_model import tiny_config

STEPS = 4
"""Of an epoch: 32 photos in batches of 8."""


def settings(folder: Path, run: Path, *track: Any) -> Config:
    return replace(tiny_config(folder), run=run, track=list(track))


def log_rows(config: Config) -> list[dict[str, float]]:
    with (run_folder(config) / "log.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def scalars(config: Config) -> dict[str, list[tuple[int, float]]]:
    """Step and value of each event, by name, as TensorBoard reads them."""
    events = EventAccumulator(str(run_folder(config) / "tensorboard"), {"scalars": 0})
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def check_against_the_log(config: Config, found: dict[str, list[tuple[int, float]]]) -> None:
    """Every column of log.csv at the end of its epoch, and the loss and rate of each step once."""
    rows = log_rows(config)
    names = {f"epoch/{column}" for column in rows[0]} | {"step/loss", "step/rate"}
    assert found.keys() == names
    for column in rows[0]:
        expected = [(STEPS * (i + 1), pytest.approx(row[column])) for i, row in enumerate(rows)]
        assert found[f"epoch/{column}"] == expected, column
    steps = list(range(1, STEPS * len(rows) + 1))
    for name in ("step/loss", "step/rate"):
        assert [step for step, _ in found[name]] == steps
    losses = [value for _, value in found["step/loss"]]
    for i, row in enumerate(rows):
        own = losses[STEPS * i : STEPS * (i + 1)]
        assert sum(own) / STEPS == pytest.approx(row["loss"])
        assert found["step/rate"][STEPS * (i + 1) - 1][1] == pytest.approx(row["rate"])


def test_tensorboard_has_what_the_log_has_and_the_settings(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path, "tensorboard")
    train(config)
    check_against_the_log(config, scalars(config))
    events = EventAccumulator(str(run_folder(config) / "tensorboard"))
    events.Reload()
    (start,) = [
        content
        for tag, content in events.summary_metadata.items()
        if tag == "_hparams_/session_start_info"
    ]
    assert b"optim.epochs" in start.plugin_data.content
    assert b"tiny" in start.plugin_data.content  # the backbone
    # TensorBoard shows each folder as a run.
    assert not [path for path in (run_folder(config) / "tensorboard").iterdir() if path.is_dir()]


@pytest.mark.slow
def test_a_tracked_run_is_the_same_run(folder: Path, tmp_path: Path) -> None:
    plain = settings(folder, tmp_path / "plain")
    tracked = settings(folder, tmp_path / "tracked", "tensorboard")
    train(plain)
    train(tracked)
    assert not (run_folder(plain) / "trackers.json").exists()
    assert not (run_folder(plain) / "tensorboard").exists()
    one, other = ({**finished(config), "settings": None} for config in (plain, tracked))
    assert_same(one, other)


class StopError(Exception):
    """The process ends here."""


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends when this step begins, counted from 1 over the whole run."""
    made, count = Trainer._step, iter(range(1, 1000))

    def step_or_stop(self: Trainer, batch: Any) -> float:
        if next(count) == step:
            raise StopError
        return made(self, batch)

    monkeypatch.setattr(Trainer, "_step", step_or_stop)


@pytest.mark.slow
def test_an_interrupted_epoch_is_in_tensorboard_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(folder, tmp_path, "tensorboard")
    with monkeypatch.context() as patch:
        stop_at(STEPS + 3, patch)
        with pytest.raises(StopError):
            train(config)
    assert len(log_rows(config)) == 1
    assert [step for step, _ in scalars(config)["step/loss"]] == list(range(1, STEPS + 3))
    train(config, resume=True)
    check_against_the_log(config, scalars(config))


@pytest.mark.slow
def test_a_run_that_lost_its_first_epoch_starts_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(folder, tmp_path, "tensorboard")
    with monkeypatch.context() as patch:
        stop_at(3, patch)
        with pytest.raises(StopError):
            train(config)
    train(config)
    check_against_the_log(config, scalars(config))


def test_a_tracker_that_is_not_installed_is_refused_before_anything(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None if name == "wandb" else name)
    config = settings(folder, tmp_path / "run", "tensorboard", "wandb")
    missing = replace(config, data=replace(config.data, captions=tmp_path / "nothing"))
    with pytest.raises(ConfigError, match=r"track: wandb: not installed; pip install wandb, or"):
        train(missing)
    assert not (tmp_path / "run").exists()
    check_trackers(["tensorboard"])


def test_a_tracker_that_cannot_start_is_named(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path, "tensorboard")
    run_folder(config).mkdir()
    (run_folder(config) / "tensorboard").write_text("not a folder")
    with pytest.raises(
        ConfigError, match=r"track: tensorboard cannot be started \(FileExistsError"
    ):
        train(config)
    assert not (run_folder(config) / "log.csv").exists()


class Unreliable(GeneralTracker):
    """Its server is gone after some calls."""

    name, requires_logging_directory, tracker = "unreliable", False, None

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls, self.seen, self.ended = calls, list[Any](), 0

    def log(self, values: dict[str, float], step: int | None = None, **_: Any) -> None:
        if len(self.seen) == self.calls:
            raise ConnectionError("no route\nto host")
        self.seen.append((step, values))

    def finish(self) -> None:
        self.ended += 1


def test_a_tracker_that_fails_is_left_out_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    good, bad = Unreliable(calls=9), Unreliable(calls=1)
    both = Trackers({"bad": bad, "good": good})
    for step in (1, 2, 3):
        both.log("step", {"loss": float(step)}, step)
    assert good.seen == [(step, {"step/loss": float(step)}) for step in (1, 2, 3)]
    assert bad.seen == good.seen[:1] and (good.ended, bad.ended) == (0, 1)
    printed = " ".join(capsys.readouterr().err.split())
    assert "track: bad failed at step 2 (ConnectionError: no route to host)" in printed
    assert printed.count("failed") == 1


def test_names_are_checked(tmp_path: Path) -> None:
    assert load_config([], {"track": ["tensorboard"]}).track == ["tensorboard"]
    file = tmp_path / "run.yaml"
    file.write_text("track: [tensorboard, mlflow]")
    assert load_config([file]).track == ["tensorboard", "mlflow"]
    file.write_text("track: [tensorbored]")
    with pytest.raises(ConfigError, match=r"track: must be tensorboard or .*, not tensorbored"):
        load_config([file])


@pytest.mark.slow
def test_another_tracker_can_be_added_to_a_run(folder: Path, tmp_path: Path) -> None:
    """What is tracked is no setting of the model."""
    config = settings(folder, tmp_path)
    train(config, stop_after=1)
    more = replace(config, track=["tensorboard", "tensorboard"])
    train(more, resume=True)
    found = scalars(more)
    assert [step for step, _ in found["epoch/loss"]] == [2 * STEPS]
    assert parse_json((run_folder(more) / "trackers.json").read_text()) == {
        "tensorboard": "tensorboard"
    }


@pytest.mark.parametrize("damage", ["{", "[]", None])
def test_a_damaged_list_of_ids_costs_only_the_connection(
    folder: Path, tmp_path: Path, damage: str | None
) -> None:
    config = settings(folder, tmp_path, "tensorboard")
    if damage is not None:
        (tmp_path / "trackers.json").write_text(damage)
    with tracking(config, tmp_path, step=8) as started:
        assert list(started.started) == ["tensorboard"]


# --- trackers whose packages are large, so that they are tested where they are installed


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    module = pytest.importorskip("mlflow", reason="mlflow is not installed")
    uri = (tmp_path / "mlruns").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    module.set_tracking_uri(uri)
    yield module
    module.end_run()


def test_mlflow_has_one_run_for_an_interrupted_training(
    folder: Path, tmp_path: Path, mlflow: Any
) -> None:
    config = settings(folder, tmp_path / "run", "mlflow")
    train(config, stop_after=1)
    train(config, resume=True)
    client = mlflow.MlflowClient()
    (experiment,) = client.search_experiments(filter_string="name = 'hgan'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "run/seed1" and run.info.status == "FINISHED"
    assert run.data.params["optim.epochs"] == "2" and run.data.params["seed"] == "1"
    found = {
        name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }
    check_against_the_log(config, found)


READ_TRACKIO = """
import json, sys, trackio
from trackio.sqlite_storage import SQLiteStorage
(run,) = trackio.Api().runs("hgan")
json.dump([run.name, SQLiteStorage.get_logs("hgan", run.name)], open(sys.argv[1], "w"))
"""


def test_trackio_has_one_run_for_an_interrupted_training(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In processes of their own, because trackio reads its folder from the environment once, and
    prints at their end; standard output has only the folder of the checkpoint."""
    if find_spec("trackio") is None:
        pytest.skip("trackio is not installed")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    config = settings(folder, tmp_path / "run", "trackio")
    train(config, stop_after=1)
    command = ["-m", "hgan", "train", *write_config(config, tmp_path / "c.yaml"), "--resume"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
    assert done.stdout == f"{run_folder(config) / 'best'}\n"
    assert "Resumed existing run" in done.stderr
    file = tmp_path / "read.json"
    subprocess.run([sys.executable, "-c", READ_TRACKIO, str(file)], check=True)
    name, points = parse_json(file.read_text())
    assert name.startswith("run/seed1-")
    found: dict[str, list[tuple[int, float]]] = {}
    for point in points:
        for key in (key for key in point if "/" in key):
            found.setdefault(key, []).append((point["step"], point[key]))
    check_against_the_log(config, found)


def test_wandb_has_one_run_for_an_interrupted_training(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network, each part is in a file of its own; `wandb sync` joins them by the id."""
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    config = settings(folder, tmp_path / "run", "wandb")
    train(config, stop_after=1)
    train(config, resume=True)
    parts = sorted(run_folder(config).glob("wandb/offline-run-*/*.wandb"))
    key = parse_json((run_folder(config) / "trackers.json").read_text())["wandb"]
    assert [part.name for part in parts] == [f"run-{key}.wandb"] * 2
    for part in parts:  # a binary format that only wandb reads
        content = part.read_bytes()
        assert all(f"epoch/{column}".encode() in content for column in log_rows(config)[0])
        assert b"step/loss" in content and b"step/rate" in content
