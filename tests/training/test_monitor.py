"""What a run reports: the log, the curves, and the warning of a collapse."""

import csv
from pathlib import Path

import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

from hgan.training.losses.hinge import Hinge
from hgan.training.losses.infonce import InfoNCE
from hgan.training.monitor import collapse_warning, plot_curves, write_log

HISTORY = [
    {"epoch": 1, "loss": 2.5, "rsum_context": 100.0, "rsum_S": 120.0},
    {"epoch": 2, "loss": 1.5, "rsum_context": 150.0, "rsum_S": 190.0},
]


def test_the_log_has_a_row_an_epoch(tmp_path: Path) -> None:
    write_log(tmp_path / "log.csv", HISTORY)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [{name: float(value) for name, value in row.items()} for row in rows] == HISTORY


def test_the_curves_are_a_picture(tmp_path: Path) -> None:
    plot_curves(tmp_path / "curves.png", HISTORY)
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG" and picture.width > 800
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 10  # lines were drawn


@pytest.mark.parametrize("epochs", [1, 2, 3, 8, 30])
def test_epochs_are_whole_numbers(
    epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(pyplot, "close", drawn.append)
    plot_curves(tmp_path / "curves.png", [HISTORY[0] | {"epoch": i + 1} for i in range(epochs)])
    for axes in drawn[0].axes:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks and all(tick == int(tick) for tick in ticks)


@pytest.mark.parametrize(
    "losses",
    [[0.4, 0.4], [0.9, 0.405, 0.4], [0.1, 0.397, 0.403]],
)
def test_a_loss_stuck_at_twice_the_margin_is_called_collapse(losses: list[float]) -> None:
    warning = collapse_warning(losses, 0.4, Hinge.remedy)
    assert warning is not None
    assert f"epoch {len(losses)}" in warning and "loss.warmup_epochs" in warning


@pytest.mark.parametrize(
    "losses",
    [
        [0.4],  # one epoch tells nothing
        [0.9, 0.4, 0.2],  # passed through
        [0.4, 0.39],  # beginning to work
        [0.9, 0.8],  # sure of itself and wrong, which can be learned away
        [0.05, 0.04],
    ],
)
def test_a_loss_that_moves_is_not(losses: list[float]) -> None:
    assert collapse_warning(losses, 0.4, Hinge.remedy) is None


def test_the_remedy_fits_the_loss() -> None:
    warning = collapse_warning([5.0, 5.0], 5.0, InfoNCE.remedy)
    assert warning is not None and "optim.learning_rate" in warning and "warmup" not in warning
