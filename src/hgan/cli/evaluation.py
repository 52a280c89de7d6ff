"""Evaluate checkpoints for the command line: find their data, measure, keep a record, show it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hgan.errors import DataError

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from hgan.data.captions.types import Captions

TOTALS = {"rsum": "rSum", "tied": "tied"}
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
    from hgan.data.batches.batching import Dataset
    from hgan.data.captions.read import read_captions
    from hgan.data.features.open import open_features
    from hgan.evaluation.protocols import check_protocols, measure
    from hgan.evaluation.record import make_record, save_record
    from hgan.evaluation.scoring import Member, Scores, encode
    from hgan.model.io import load_checkpoint
    from hgan.progress import progress

    models = [load_checkpoint(path) for path in checkpoints]
    files = [captions or _run_setting(path, "captions") for path in checkpoints]
    read = {file: read_captions(file).split(split) for file in dict.fromkeys(files)}
    chosen = _same(read)
    check_protocols(chosen, protocols)  # before minutes go into encoding
    members = []
    for path, model in zip(checkpoints, models, strict=True):
        store = open_features(features or _run_setting(path, "features"), model.vision.backbone)
        data = Dataset(chosen, store, model.tokenizer, model.text.max_words)
        with progress("encode", total=len(data.rows), unit="photos") as bar:
            members.append(Member(model.network, *encode(model.network, data, bar)))
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


def tables(record: dict[str, Any], protocols: Sequence[str]) -> "Iterator[Group]":
    """A table for each protocol, with what its figures belong to; it fits into 80 columns."""
    from rich.console import Group
    from rich.text import Text

    from hgan.evaluation.protocols import PROTOCOLS

    for protocol in protocols:
        levels = record["protocols"][protocol]
        recalls = "rsum" in next(iter(levels.values()))
        yield Group(
            Text(f"{_title(record)}: {record['split']} split, protocol {protocol}", "bold"),
            _table(levels),
            Text(f"{PROTOCOLS[protocol]}; {_caption(record, recalls)}"),
        )


def _title(record: dict[str, Any]) -> str:
    if members := record["ensemble"]:
        return f"ensemble of {len(members)} ({', '.join(members)})"
    return str(record["checkpoint"])


def _caption(record: dict[str, Any], recalls: bool) -> str:
    """What the figures belong to."""
    from hgan.evaluation.record import final_level
    from hgan.reporting.records import together

    tied = record["protocols"]["full"][final_level(record)]["tied"]
    ties = f"ties {record['ties']}" if recalls else f"ties broken by position ({tied} queries)"
    weights = ", ".join(f"{name} {value:.1f}" for name, value in record["weights"].items())
    total = "the mean of the models' scores" if record["ensemble"] else weights
    seed, epoch = together(record["seeds"]), together(record["epochs"])
    return (
        f"{record['photos']:,} photos, {record['texts']:,} captions of {record['captions']}; "
        f"{record['model']}, seed {seed}, epoch {epoch}; in per cent, {ties}; S = {total}"
    )


def _table(levels: dict[str, Any]) -> "Table":
    """Two rows a level, one for each way; rSum and ties, of both ways, stand in the first."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("", "", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    names = list(_cells(next(iter(levels.values()))[WAYS[0][0]]))
    totals = [name for name in TOTALS if name in next(iter(levels.values()))]
    for name in (*names, *(TOTALS[name] for name in totals)):
        table.add_column(name, justify="right")
    for level, figures in levels.items():
        both = [f"{figures[name]:.1f}" if name == "rsum" else f"{figures[name]}" for name in totals]
        for way, title in WAYS:
            first = way == WAYS[0][0]
            cells = _cells(figures[way]).values()
            table.add_row(level if first else "", title, *cells, *(both if first else []))
    return table


def _cells(direction: dict[str, Any]) -> dict[str, str]:
    """Figures of one way, by column."""
    if "recall" not in direction:  # of a protocol with figures of its own
        return {name: f"{value:.1f}" for name, value in direction.items()}
    recalls = {name: f"{value:.1f}" for name, value in direction["recall"].items()}
    median, mean = f"{direction['median_rank']:g}", f"{direction['mean_rank']:.1f}"
    return recalls | {"median": median, "mean": mean}
