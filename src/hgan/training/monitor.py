"""What a run reports: a CSV log, curves as a picture, and a warning when training collapses."""

import csv
from pathlib import Path

COLLAPSE_SHARE = 0.02
"""A loss within this share of the chance-level loss counts as being at chance level."""


def write_log(path: Path, history: list[dict[str, float]]) -> None:
    """One row an epoch, all figures of the run."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def plot_curves(path: Path, history: list[dict[str, float]]) -> None:
    """Loss, and rSum on validation by level, over the epochs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    epochs = [row["epoch"] for row in history]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(epochs, [row["loss"] for row in history], color="tab:blue")
    left.set(xlabel="epoch", ylabel="loss", title="Training loss")
    for name in [key for key in history[0] if key.startswith("rsum_")]:
        level = name.removeprefix("rsum_")
        width = 2.5 if level in ("S", "context") else 1.2
        right.plot(epochs, [row[name] for row in history], label=level, linewidth=width)
    right.set(xlabel="epoch", ylabel="rSum", title="Validation rSum by level")
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def collapse_warning(losses: list[float], chance_level: float, remedy: str) -> str | None:
    """A warning when the loss is stuck at chance level, where every pair has the same score.

    Two epochs in a row, since a healthy loss may start above that value and pass through it.

    Args:
        losses: mean of each epoch so far.
        chance_level: loss of constant scores.
        remedy: what may help, by the loss that is used.
    """
    stuck = [abs(loss - chance_level) <= COLLAPSE_SHARE * chance_level for loss in losses[-2:]]
    if len(stuck) < 2 or not all(stuck):
        return None
    return (
        f"epoch {len(losses)}: the loss, {losses[-1]:.3f}, is stuck at chance level "
        f"({chance_level:.3f}, every pair has the same score): training has collapsed; {remedy}"
    )
