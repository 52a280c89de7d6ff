"""Evaluate checkpoints for the command line: find their data, measure, keep a record, show it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hgan.errors import DataError

if TYPE_CHECKING:
    from rich.table import Table

    from hgan.data.captions import Captions

RECALLS = ("R@1", "R@5", "R@10")
WAYS = (("image_to_text", "photo to text"), ("text_to_image", "text to photo"))


def evaluate_checkpoints(
    checkpoints: Sequence[Path],
    split: str,
    protocols: Sequence[str] = ("full",),
    captions: Path | None = None,
    features: Path | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """The record of a checkpoint on a split; of several, that of their mean scores.

    Captions and features are by default those of the run that a checkpoint lies in. The record is
    written into `out`; by default beside a single checkpoint that lies in a run, if the captions
    are that run's own.

    Raises:
        DataError: a checkpoint, its captions or features are missing, damaged or do not fit; a
            protocol is for other data.
        ConfigError: a protocol is not known.
    """
    from hgan.data.batching import Dataset
    from hgan.data.captions import read_captions
    from hgan.data.source import open_features
    from hgan.evaluation.protocols import check_protocols, measure
    from hgan.evaluation.record import make_record, save_record
    from hgan.evaluation.scoring import Member, Scores, encode
    from hgan.model.io import load_checkpoint

    models = [load_checkpoint(path) for path in checkpoints]
    files = [captions or _run_setting(path, "captions") for path in checkpoints]
    read = {file: read_captions(file).split(split) for file in dict.fromkeys(files)}
    chosen = _same(read)
    check_protocols(chosen, protocols)  # before minutes go into encoding
    members = []
    for path, model in zip(checkpoints, models, strict=True):
        store = open_features(features or _run_setting(path, "features"), model.vision.backbone)
        data = Dataset(chosen, store, model.tokenizer, model.text.max_words)
        members.append(Member(model.network, *encode(model.network, data)))
    scores = Scores(members)
    measured = measure(scores, chosen, protocols)
    split = chosen.splits[0] or split  # as the caption file's own reader calls it
    record = make_record(checkpoints, models, files[0], split, chosen, scores, measured)
    if out is None and captions is None and len(checkpoints) == 1:
        out = checkpoints[0].resolve().parent
    return record if out is None else save_record(out, record, measured)


def _same(read: "dict[Path, Captions]") -> "Captions":
    """The captions, if all files hold the same."""
    (first, captions), *others = read.items()
    for file, other in others:
        if (captions.images, captions.texts) != (other.images, other.texts):
            raise DataError(
                f"{file}: its split is not that of {first}; an ensemble needs the same photos and "
                "captions for all its models, name them with --captions"
            )
    return captions


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


def tables(record: dict[str, Any], protocols: Sequence[str]) -> "Iterator[Table]":
    """A table for each protocol: figures both ways, a row a level, and what they belong to."""
    from rich.table import Table
    from rich.text import Text

    from hgan.evaluation.protocols import PROTOCOLS

    for protocol in protocols:
        levels = record["protocols"][protocol]
        recalls = "rsum" in next(iter(levels.values()))
        table = Table(
            title=Text(f"{_title(record)}: {record['split']} split, protocol {protocol}"),
            caption=Text(f"{PROTOCOLS[protocol]}; {_caption(record, recalls)}"),
            title_justify="left",
            caption_justify="left",
        )
        (_recall_rows if recalls else _other_rows)(table, levels)
        yield table


def _title(record: dict[str, Any]) -> str:
    if members := record["ensemble"]:
        return f"ensemble of {len(members)} ({', '.join(members)})"
    return str(record["checkpoint"])


def _caption(record: dict[str, Any], recalls: bool) -> str:
    """What the figures belong to."""
    from hgan.evaluation.record import final_level

    tied = record["protocols"]["full"][final_level(record)]["tied"]
    ties = f"ties {record['ties']}" if recalls else f"ties broken by position ({tied} queries)"
    weights = ", ".join(f"{name} {value:.1f}" for name, value in record["weights"].items())
    total = "the mean of the models' scores" if record["ensemble"] else weights
    seed, epoch = (record[name] if record[name] is not None else "?" for name in ("seed", "epoch"))
    return (
        f"{record['photos']:,} photos, {record['texts']:,} captions of {record['captions']}; "
        f"{record['model']}, seed {seed}, epoch {epoch}; in per cent, {ties}; S = {total}"
    )


def _recall_rows(table: "Table", levels: dict[str, Any]) -> None:
    columns = (*RECALLS, "median", "mean")
    table.add_column("")
    for _, way in WAYS:
        for position, name in enumerate(columns):
            table.add_column(f"{way}\n{name}" if position == 0 else f"\n{name}", justify="right")
    table.add_column("\nrSum", justify="right", style="bold")
    table.add_column("\ntied", justify="right", style="dim")
    for level, metrics in levels.items():
        cells = []
        for way, _ in WAYS:
            direction = metrics[way]
            cells += [f"{direction['recall'][name]:.1f}" for name in RECALLS]
            cells += [f"{direction['median_rank']:g}", f"{direction['mean_rank']:.1f}"]
        table.add_row(level, *cells, f"{metrics['rsum']:.1f}", f"{metrics['tied']}")


def _other_rows(table: "Table", levels: dict[str, Any]) -> None:
    """Of protocols with figures of their own."""
    names = list(next(iter(levels.values()))[WAYS[0][0]])
    table.add_column("")
    for _, way in WAYS:
        for position, name in enumerate(names):
            table.add_column(f"{way}\n{name}" if position == 0 else f"\n{name}", justify="right")
    for level, figures in levels.items():
        table.add_row(level, *(f"{figures[way][name]:.1f}" for way, _ in WAYS for name in names))
