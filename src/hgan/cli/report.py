"""Evaluate a checkpoint for the command line: find its data, measure, show."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hgan.errors import DataError

if TYPE_CHECKING:
    from rich.table import Table


def evaluate_checkpoint(
    checkpoint: Path, split: str, captions: Path | None, features: Path | None
) -> dict[str, Any]:
    """Figures of a checkpoint on a split, by level and for S, with the protocol they belong to.

    Captions and features are by default those of the run that the checkpoint lies in.
    """
    from hgan.data.batching import Dataset
    from hgan.data.captions import read_captions
    from hgan.data.source import open_features
    from hgan.evaluation.evaluate import evaluate
    from hgan.model.io import load_checkpoint

    model = load_checkpoint(checkpoint)
    captions = captions or _run_setting(checkpoint, "captions")
    features = features or _run_setting(checkpoint, "features")
    chosen = read_captions(captions).split(split)
    store = open_features(features, model.vision.backbone)
    data = Dataset(chosen, store, model.tokenizer, model.text.max_words)
    found = evaluate(model.network, data)
    return {
        "checkpoint": str(checkpoint),
        "captions": str(captions),
        "split": split,
        "photos": len(chosen.images),
        "texts": len(chosen.texts),
        "weights": model.network.weights,
        "levels": {name: metrics.as_dict() for name, metrics in found.items()},
    }


def _run_setting(checkpoint: Path, name: str) -> Path:
    """A path in the settings of the run that a checkpoint lies in."""
    file = checkpoint.resolve().parent / "config.json"
    try:
        return Path(json.loads(file.read_text(encoding="utf-8"))["data"][name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{checkpoint}: lies in no run, so its data is unknown ({file} cannot be read); "
            f"name it with --{name}"
        ) from error


def metrics_table(report: dict[str, Any]) -> "Table":
    """The field's table: recall both ways and rSum, a row a level."""
    from rich.table import Table
    from rich.text import Text

    weights = ", ".join(f"{name} {value:.1f}" for name, value in report["weights"].items())
    table = Table(
        title=Text(f"{report['checkpoint']}: {report['split']}"),
        caption=Text(
            f"{report['photos']:,} photos, {report['texts']:,} captions of {report['captions']}; "
            f"recall in per cent, ties count against the model; S = {weights}"
        ),
        title_justify="left",
        caption_justify="left",
    )
    columns = ("R@1", "R@5", "R@10", "median", "mean")
    table.add_column("")
    for way in ("photo to text", "text to photo"):
        for position, name in enumerate(columns):
            table.add_column(f"{way}\n{name}" if position == 0 else f"\n{name}", justify="right")
    table.add_column("\nrSum", justify="right", style="bold")
    table.add_column("\ntied", justify="right", style="dim")
    for level, metrics in report["levels"].items():
        cells = []
        for way in ("image_to_text", "text_to_image"):
            direction = metrics[way]
            cells += [f"{value:.1f}" for value in direction["recall"].values()]
            cells += [f"{direction['median_rank']}", f"{direction['mean_rank']:.1f}"]
        table.add_row(level, *cells, f"{metrics['rsum']:.1f}", f"{metrics['tied']}")
    return table
