"""A matcher and a loss in one file outside the package go through the whole command line."""

import csv
import json
import math
from pathlib import Path

import pytest
import torch
import yaml

from hgan.cli import main
from hgan.model.io import load_checkpoint
from hgan.model.matcher import MATCHERS
from tests.fixtures.tiny_model import tiny_config

pytestmark = pytest.mark.usefixtures("forget_plugins")

EXAMPLE = Path(__file__).parents[2] / "examples" / "add_a_matcher.py"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Settings of a tiny run with the plug-in's matcher and loss."""
    settings = tiny_config(tmp_path).as_dict()
    settings["model"] = {"name": "means", "width": 16}
    settings["loss"] = {"name": "pairwise", "scale": 8.0}
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(settings))
    return ["--config", str(file)]


@pytest.mark.slow
def test_a_plugin_trains_evaluates_and_saves(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["train", *words, "--plugin", str(EXAMPLE), "--optim.epochs", "16"]
    assert main(train) == 0
    best = Path(capsys.readouterr().out.strip())
    assert main(["evaluate", str(best), "--plugin", str(EXAMPLE), "--split", "val", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["model"] == "means"
    assert list(record["protocols"]["full"]) == ["context", "closeness", "S"]
    assert record["protocols"]["full"]["S"]["rsum"] == pytest.approx(record["val_rsum"])
    with (best.parent / "log.csv").open(newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < math.log(2) < losses[0]  # better than any constant score
    assert record["val_rsum"] > 220  # by chance about 190
    saved = json.loads((best / "config.json").read_text())
    assert saved["model"] == {"name": "means", "width": 16, "dropout": 0.1}
    assert "# Means: image-text retrieval" in (best / "README.md").read_text()
    loaded = load_checkpoint(best)
    loaded.save_pretrained(tmp_path / "again")
    again = load_checkpoint(tmp_path / "again").network.state_dict()
    assert all(torch.equal(again[n], w) for n, w in loaded.network.state_dict().items())
    assert main([*train, "--resume"]) == 0


def test_without_the_plugin_both_refuse_and_say_what_is_missing(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *words]) == 2
    shown = capsys.readouterr().err
    assert "model.name: 'means' is unknown" in shown and "--plugin FILE.py" in shown
    assert main(["train", *words, "--plugin", str(EXAMPLE), "--optim.epochs", "1"]) == 0
    best = capsys.readouterr().out.strip()
    MATCHERS._classes.pop("means")
    for verb in (["evaluate", best, "--split", "val"], ["export", best, f"{best}.bundle"]):
        assert main(verb) == 2
        shown = capsys.readouterr().err
        assert "'means' is not registered" in shown and "--plugin FILE.py" in shown


@pytest.mark.slow
def test_a_sweep_trains_and_evaluates_a_plugin(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--seeds", "1", "--runs", str(tmp_path / "runs"), "--plugin", str(EXAMPLE)]
    assert main(["sweep", *words, *more]) == 0
    record = json.loads((tmp_path / "runs" / "run" / "seed1" / "val.json").read_text())
    assert record["model"] == "means" and "closeness" in record["protocols"]["full"]


def test_the_help_shows_the_settings_of_a_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", f"--plugin={EXAMPLE}", "--model.name=means", "--loss.name=pairwise", "-h"])
    shown = capsys.readouterr().out
    assert "Width D of the vector of a photo or sentence" in shown and "--loss.scale" in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_like_it", "the plug-in failed (ModuleNotFoundError"),
        ("raise ValueError('no')", "the plug-in failed (ValueError: no)"),
        (
            "from hgan.model.baselines.scan import SCAN\n"
            "from hgan.model.matcher import MATCHERS\n"
            "@MATCHERS.register\nclass Mine(SCAN): pass\n",
            "model.name 'scan' is registered twice",
        ),
    ],
)
def test_a_plugin_that_fails_is_named(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    assert main(["train", "--plugin", str(file)]) == 2
    shown = capsys.readouterr().err
    assert str(file) in shown and message in shown
