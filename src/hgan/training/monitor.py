"""What a run tells while it goes on: a CSV log, curves as a picture, and a warning of collapse."""

import csv
from pathlib import Path

COLLAPSE_SHARE = 0.02
"""Within this share of the loss of a model that tells nothing apart, a loss counts as that loss."""


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


def collapse_warning(kind: str, losses: list[float], blind_loss: float) -> str | None:
    """Say so when the loss is stuck where a model that maps everything to one point has it.

    Two epochs in a row, since a healthy loss may start above that value and pass through it.

    Args:
        kind: infonce or hinge.
        losses: mean of each epoch so far.
        blind_loss: loss of constant scores: twice the margin, or the logarithm of the candidates.
    """
    stuck = [abs(loss - blind_loss) <= COLLAPSE_SHARE * blind_loss for loss in losses[-2:]]
    if len(stuck) < 2 or not all(stuck):
        return None
    remedy = {
        "hinge": "raise loss.warmup_epochs or lower optim.learning_rate",
        "infonce": "lower optim.learning_rate",
    }[kind]
    return (
        f"epoch {len(losses)}: the loss, {losses[-1]:.3f}, is stuck at that of a model that tells "
        f"nothing apart ({blind_loss:.3f}): training has collapsed; {remedy}"
    )
