"""Monitoring of a run: a CSV log, a plot of the curves, a line for each epoch, and a warning if
training collapses."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from hgan.encoded import final_level
from hgan.files import atomic_write

COLLAPSE_SHARE = 0.02
"""A loss counts as at chance level if it differs from it by at most this fraction."""


def write_log(path: Path, history: list[dict[str, float]]) -> None:
    """Write the values of all epochs as CSV, one row per epoch."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(history[0]))
    writer.writeheader()
    writer.writerows(history)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def plot_curves(path: Path, history: list[dict[str, float]]) -> None:
    """Plot the loss and the validation rSum of each level over the epochs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in history]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(epochs, [row["loss"] for row in history], ".-", color="tab:blue")
    left.set(xlabel="epoch", ylabel="loss", title="Training loss")
    for name in [key for key in history[0] if key.startswith("rsum_")]:
        level = name.removeprefix("rsum_")
        width = 2.5 if level in ("S", "context") else 1.2
        right.plot(epochs, [row[name] for row in history], ".-", label=level, linewidth=width)
    right.set(xlabel="epoch", ylabel="rSum", title="Validation rSum by level")
    right.legend()
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=120)
    pyplot.close(figure)


def rsum_of(row: Mapping[str, float | str]) -> float:
    """The rSum that an epoch is judged by, of its row: that of S, or of the only level, on
    validation; with a second validation set, the mean of both."""
    names = (key.removeprefix("rsum_") for key in row if key.startswith("rsum_"))
    rsum = float(row[f"rsum_{final_level(names)}"])
    return (rsum + float(row["open_rsum"])) / 2 if "open_rsum" in row else rsum


def summary(row: dict[str, float]) -> str:
    """The values of an epoch in one line."""
    levels = [(k.removeprefix("rsum_"), v) for k, v in row.items() if k.startswith("rsum_")]
    levels += [("open", row["open_rsum"])] if "open_rsum" in row else []
    rsums = "  ".join(f"{name} {rsum:.1f}" for name, rsum in levels)
    return (
        f"epoch {row['epoch']:.0f}  loss {row['loss']:.3f}  val rSum  {rsums}  "
        f"({row['images_per_second']:.0f} photos/s, {row['captions_per_second']:.0f} captions/s)"
    )


def collapse_warning(losses: list[float], chance_level: float, remedy: str) -> str | None:
    """A warning if the loss is stuck at chance level, where every pair has the same score.

    Two consecutive epochs are needed, since a normal loss can start above this level and pass it.

    Args:
        losses: mean loss of each epoch so far.
        chance_level: the loss if all scores are equal.
        remedy: what can help, depending on the loss.
    """
    stuck = [abs(loss - chance_level) <= COLLAPSE_SHARE * chance_level for loss in losses[-2:]]
    if len(stuck) < 2 or not all(stuck):
        return None
    return (
        f"epoch {len(losses)}: the loss, {losses[-1]:.3f}, is stuck at chance level "
        f"({chance_level:.3f}, every pair has the same score): training has collapsed; {remedy}"
    )
