"""A search tries the same settings for all systems, and chooses by validation."""

import json
from pathlib import Path

import pytest
import yaml

from hgan.cli import main
from hgan.errors import ConfigError
from hgan.training.config import load_config
from hgan.training.search import plan_search, plan_trials, write_best
from tests.fixtures.tiny_model import tiny_config


def test_trials_are_all_combinations_or_some_of_them() -> None:
    search = ["optim.learning_rate=1e-3,2e-3", "loss.name=infonce,hinge", "optim.epochs=4"]
    trials = plan_trials(search, None)
    assert len(trials) == len({tuple(trial) for trial in trials}) == 4
    assert trials[0] == ["optim.learning_rate=1e-3", "loss.name=infonce", "optim.epochs=4"]
    some = plan_trials(search, 3)
    assert len(some) == 3 and all(trial in trials for trial in some)
    assert some == plan_trials(search, 3)


@pytest.mark.parametrize(
    ("search", "number", "problem"),
    [
        (["optim.epochs"], None, "expected KEY=VALUE,VALUE"),
        (["optim.epochs=1,,2"], None, "expected KEY=VALUE,VALUE"),
        (["optim.epochs=1", "optim.epochs=2"], None, "once for each key"),
        (["optim.epochs=1,2"], 3, "there are 2 combinations"),
    ],
)
def test_malformed_searches_are_refused(
    search: list[str], number: int | None, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        plan_trials(search, number)


@pytest.fixture
def systems(tmp_path: Path) -> dict[str, list[Path]]:
    """Two systems on tiny data."""
    base = tmp_path / "base.yaml"
    base.write_text(yaml.safe_dump(tiny_config(tmp_path).as_dict()))
    found = {}
    for name in ("mean", "vse_infinity"):
        own = tmp_path / "systems" / f"{name}.yaml"
        own.parent.mkdir(exist_ok=True)
        own.write_text(f"model: {{name: {name}, width: 24}}\n")
        found[name] = [base, own]
    return found


def test_the_best_trial_is_chosen_by_the_mean_over_seeds(
    systems: dict[str, list[Path]], tmp_path: Path
) -> None:
    trials = plan_trials(["optim.learning_rate=1e-3,2e-3,5e-3"], None)
    runs = plan_search(systems, [1, 2], tmp_path / "runs", ["optim.epochs=1"], trials)
    assert len(runs) == 12
    # (seed 1, seed 2) of each trial; the last of the second system is not finished.
    rsums = {"mean": [(10, 30), (40, 2), (5, 5)], "vse_infinity": [(1, 1), (2, 2), (99, None)]}
    for run in runs:
        name, trial = run.config.run.name, int(run.config.run.parent.name.removeprefix("trial"))
        value = rsums[name][trial - 1][run.config.seed - 1]
        if value is not None:
            run.folder.mkdir(parents=True)
            (run.folder / "log.csv").write_text(f"epoch,rsum_context\n1,{value}\n")
    best = write_best(list(systems), [1, 2], trials, runs, tmp_path / "runs")
    assert best == {
        "mean": (["optim.learning_rate=2e-3"], 21),
        "vse_infinity": (["optim.learning_rate=2e-3"], 2),
    }
    for name, files in systems.items():
        written = load_config([files[0], tmp_path / "runs" / "best" / f"{name}.yaml"])
        assert written.model.name == name and written.optim.learning_rate == 2e-3


def test_test_is_not_for_choosing(systems: dict[str, list[Path]], tmp_path: Path) -> None:
    words = ["sweep", "--config", str(tmp_path / "base.yaml"), "--search", "optim.epochs=1,2"]
    assert main([*words, "--split", "test"]) == 2
    assert main([*words[:3], "--trials", "2"]) == 2


@pytest.mark.slow
def test_a_search_from_the_command_line(
    systems: dict[str, list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sweep", "--config", str(tmp_path / "base.yaml")]
    words += ["--config", str(tmp_path / "systems"), "--set", "optim.epochs=1"]
    words += ["--seeds", "1", "--runs", str(tmp_path / "runs")]
    search = ["--search", "loss.name=infonce,hinge", "--search", "optim.learning_rate=1e-3,1e-2"]
    assert main([*words, *search, "--trials", "2"]) == 0
    shown = capsys.readouterr().out
    assert "mean: loss.name=" in shown and "vse_infinity: loss.name=" in shown
    records = sorted((tmp_path / "runs").glob("trial*/*/seed1/val.json"))
    assert len(records) == 4 and all("protocols" in json.loads(r.read_text()) for r in records)
    assert len(list((tmp_path / "runs" / "best").glob("*.yaml"))) == 2
