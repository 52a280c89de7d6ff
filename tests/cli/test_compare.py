"""The verbs that compare systems: the plan of a sweep, and a report from the command line."""

from pathlib import Path

import pytest
import yaml

from hgan.cli import VERBS
from hgan.cli.sweep import SWEEP
from hgan.errors import ConfigError, DataError
from hgan.training.plan import plan_runs, plan_systems
from tests.fixtures.records import write_captions, write_run


def run(name: str, *words: str) -> int:
    """The verb's exit code."""
    parser = VERBS[name].parser(name)
    return VERBS[name].run(parser, parser.parse_args(list(words)))


def write(file: Path, **settings: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(settings))
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base file, a file for short runs, and a folder of two systems."""
    write(tmp_path / "base.yaml", optim={"epochs": 7, "clip": 1.0})
    write(tmp_path / "short.yaml", optim={"epochs": 2})
    write(tmp_path / "ablations" / "no_mfar.yaml", model={"mfar": False, "levels": ["context"]})
    write(tmp_path / "ablations" / "long.yaml", optim={"epochs": 9}, run="elsewhere")
    return tmp_path


def test_a_folder_gives_a_system_a_file(folder: Path) -> None:
    base, short, systems = folder / "base.yaml", folder / "short.yaml", folder / "ablations"
    assert plan_systems([base, systems, short], "full") == {
        "full": [base, short],
        "long": [base, systems / "long.yaml", short],
        "no_mfar": [base, systems / "no_mfar.yaml", short],
    }
    assert list(plan_systems([systems], None)) == ["long", "no_mfar"]
    assert plan_systems([base], None) == {"base": [base]}
    assert plan_systems([base, short], "both") == {"both": [base, short]}
    other = write(folder / "more" / "scan.yaml")
    assert plan_systems([base, systems, other.parent], None)["scan"] == [base, other]


def test_files_are_not_merged_without_a_name_for_the_result(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", str(folder / "base.yaml"), "--config", str(folder / "short.yaml")]
    with pytest.raises(ConfigError, match=r"merged into one system.*--base short\..*a folder"):
        run("sweep", *words)
    # The plan is printed before anything else is checked, here the seeds.
    with pytest.raises(ConfigError, match="--seeds"):
        run("sweep", *words, "--base", "both", "--seeds", "x")
    shown = capsys.readouterr().err
    assert f"both: {folder / 'base.yaml'}, then {folder / 'short.yaml'}\n" in shown


def test_systems_that_cannot_be(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: no such file or folder"):
        plan_systems([folder / "nowhere"], None)
    (folder / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"empty: contains no YAML file"):
        plan_systems([folder / "empty"], None)
    with pytest.raises(ConfigError, match=r"2 systems have the name long"):
        plan_systems([folder / "ablations"], "long")


def test_runs_go_seed_by_seed_with_the_settings_of_files_then_of_set(folder: Path) -> None:
    systems = plan_systems([folder / "base.yaml", folder / "ablations"], None)
    runs = plan_runs(systems, [2, 5], folder / "runs", ["optim.clip=3"])
    assert [(r.system, r.config.seed) for r in runs] == [
        ("long", 2),
        ("no_mfar", 2),
        ("long", 5),
        ("no_mfar", 5),
    ]
    assert [r.config.optim.epochs for r in runs] == [9, 7, 9, 7]
    assert {r.config.optim.clip for r in runs} == {3.0}
    assert runs[3].folder == folder / "runs" / "no_mfar" / "seed5"
    assert runs[1].config.model.levels == ["context"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["optim.epochs"], "expected KEY=VALUE"),
        (["seed=3"], "expected KEY=VALUE"),
        (["optim.eras=3"], "eras"),
        (["optim.epochs=many"], "many"),
        (["model.mfar=false"], "the shared level needs MFAR"),
    ],
)
def test_settings_that_cannot_be(settings: list[str], message: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_runs({"base": [folder / "base.yaml"]}, [1], folder / "runs", settings)


def test_a_folder_of_systems_works_with_the_defaults() -> None:
    parser = SWEEP.parser("sweep")
    chosen = parser.parse_args(["--config", "configs/ablations/"])
    assert (chosen.seeds, chosen.jobs, chosen.split) == ("1,2,3", 1, "val")
    root = Path(__file__).parents[2]
    runs = plan_runs(plan_systems([root / "configs" / "ablations"], None), [1], chosen.runs, [])
    assert len(runs) >= 7
    assert {r.folder for r in runs} == {Path("runs/ablations") / r.system / "seed1" for r in runs}


@pytest.mark.parametrize("seeds", ["", "1,x", "1,1"])
def test_seeds_that_cannot_be(seeds: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match="--seeds"):
        run("sweep", "--config", str(folder / "base.yaml"), "--seeds", seeds)


def test_a_sweep_is_not_launched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be run once by each process."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="sweep starts the processes of its runs itself"):
        run("sweep", "--config", str(folder / "base.yaml"))


def test_jobs_are_at_least_one(folder: Path) -> None:
    parser = SWEEP.parser("sweep")
    with pytest.raises(ConfigError, match="--jobs: must be a whole number of at least 1, not 0"):
        parser.parse_args(["--config", str(folder / "base.yaml"), "--jobs", "0"])


def test_settings_can_be_given_as_to_train(folder: Path) -> None:
    parser = SWEEP.parser("sweep")
    words = ["--config", "a", "--optim.epochs", "2", "--set", "seed=3", "--loss.name=hinge"]
    assert parser.parse_args(words).set == ["optim.epochs=2", "seed=3", "loss.name=hinge"]
    words = ["--config", str(folder / "base.yaml"), "--optim.epoch", "2"]
    with pytest.raises(ConfigError, match=r"system base: optim.epoch is .*mean optim.epochs"):
        run("sweep", *words)


@pytest.mark.slow
def test_a_failed_run_is_shown_with_the_end_of_its_log(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", str(folder / "base.yaml"), "--seeds", "1", "--runs", str(folder / "runs")]
    words += ["--set", f"data.features={folder / 'none'}"]
    assert run("sweep", *words) == 1
    shown = capsys.readouterr()
    assert "failed" in shown.out and "0/7" in shown.out
    assert f"{folder / 'runs' / 'base' / 'seed1'}: failed with exit code 2" in shown.err
    assert f"{folder / 'none'}" in shown.err.split("ends:")[1]


def test_a_report_says_where_it_is_and_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    captions = write_captions(tmp_path / "data")
    write_run(tmp_path / "runs" / "full", captions)
    write_run(tmp_path / "runs" / "full", captions, seed=2, format_version=9)
    assert run("report", str(tmp_path / "runs"), "--out", str(tmp_path / "out")) == 0
    shown = capsys.readouterr()
    assert shown.out.strip() == str(tmp_path / "out" / "report.html")
    assert shown.err.startswith("left out: ") and "version 9 is unknown" in shown.err
    with pytest.raises(DataError, match="no records of split 'val'"):
        run("report", str(tmp_path / "runs"), "--split", "val")


@pytest.mark.parametrize("name", ["sweep --config a", "report a"])
def test_without_the_training_half(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hgan.cli.settings.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install '.\[train\]'"):
        run(*name.split())
