"""The verb `evaluate`: compute metrics of checkpoints or bundles on a split, as tables or JSON."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.device import TORCH_NAMES, device_argument, use_device
from hgan.cli.settings import load_plugins, need_training_half, plugin_argument
from hgan.cli.verb import Verb

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from hgan.runtime.bundle import Bundle


TOTALS = {"rsum": "rSum", "tied": "tied"}


def _evaluate_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "checkpoint",
        type=str,
        nargs="+",
        metavar="MODEL",
        help="folder of a run, such as runs/flickr8k/seed1, or of one of its checkpoints, of a "
        "bundle or of a dual encoder, or the name of one on the Hugging Face hub; the scores of "
        "several are averaged",
    )
    add("--split", default="test", help="split of the data set: test, val, ...")
    add(
        "--protocol",
        default="full",
        help="full, flickr30k-1k, coco-5k, coco-1k, eccv or cxc; several separated by commas",
    )
    add("--captions", type=Path, help="caption file, by default the one of the run")
    add("--features", type=Path, help="feature store, by default the one of the run")
    add(
        "--photos",
        type=Path,
        help="folder of the photos, which bundles read, and checkpoints in place of features",
    )
    add("--out", type=Path, help="folder of the record, by default the folder of the run")
    add("--json", action="store_true", help="print the record as JSON")
    device_argument(parser, TORCH_NAMES)
    plugin_argument(parser)


def _evaluate(_parser: ArgumentParser, chosen: Namespace) -> int:
    need_training_half("evaluate")
    use_device(chosen.device)
    load_plugins(chosen.plugin)
    from rich.console import Console

    from hgan.evaluation.checkpoints import evaluate_checkpoints
    from hgan.launch import is_first_process

    protocols = [name.strip() for name in chosen.protocol.split(",")]
    record = evaluate_checkpoints(
        [_named(name) for name in chosen.checkpoint],
        chosen.split,
        protocols,
        chosen.captions,
        chosen.features,
        chosen.out,
        chosen.photos,
    )
    if not is_first_process():
        return 0
    if chosen.json:
        print(json.dumps(record, indent=2))
    else:
        for table in tables(record, protocols):
            Console().print(table, "")
    return 0


def _named(name: str) -> "Path | Bundle":
    """The folder of a checkpoint or a bundle; or the bundle of a dual encoder, exported once."""
    from hgan.hub import HubModel
    from hgan.loading import load_bundle

    model = HubModel.find(name)
    if model.folder is None or model.kind == "dual encoder":
        return load_bundle(name)
    return model.folder


def tables(record: dict[str, Any], protocols: Sequence[str]) -> "Iterator[Group]":
    """A table for each protocol, with a title and a caption; it fits into 80 columns."""
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
    """The caption of a table: the data, the model, and how the metrics were computed."""
    from hgan.encoded import final_level
    from hgan.reporting.records import together

    full = record["protocols"]["full"]
    tied = full[final_level(full)]["tied"]
    ties = f"ties {record['ties']}" if recalls else f"ties broken by position ({tied} queries)"
    weights = ", ".join(f"{name} {value:.1f}" for name, value in record["weights"].items())
    total = "the mean of the models' scores" if record["ensemble"] else weights
    trained = ""
    if record["epochs"] != [None] * len(record["epochs"]):  # unknown for bundles
        trained = f", seed {together(record['seeds'])}, epoch {together(record['epochs'])}"
    return (
        f"{record['photos']:,} photos, {record['texts']:,} captions of {record['captions']}; "
        f"{record['model']}{trained}; in per cent, {ties}; S = {total}"
    )


def _table(levels: dict[str, Any]) -> "Table":
    """Two rows per level, one for each direction; rSum and ties, which cover both directions, are
    in the first row."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from hgan.evaluation.types import DIRECTIONS

    table = Table("", "", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    names = list(_cells(next(iter(levels.values()))[next(iter(DIRECTIONS))]))
    totals = [name for name in TOTALS if name in next(iter(levels.values()))]
    for name in (*names, *(TOTALS[name] for name in totals)):
        table.add_column(name, justify="right")
    for level, figures in levels.items():
        both = [f"{figures[name]:.1f}" if name == "rsum" else f"{figures[name]}" for name in totals]
        for place, (way, title) in enumerate(DIRECTIONS.items()):
            cells = _cells(figures[way]).values()
            table.add_row("" if place else level, title, *cells, *([] if place else both))
    return table


def _cells(direction: dict[str, Any]) -> dict[str, str]:
    """Metrics of one direction, by column."""
    if "recall" not in direction:  # a protocol with other metrics
        return {name: f"{value:.1f}" for name, value in direction.items()}
    recalls = {name: f"{value:.1f}" for name, value in direction["recall"].items()}
    median, mean = f"{direction['median_rank']:g}", f"{direction['mean_rank']:.1f}"
    return recalls | {"median": median, "mean": mean}


EVALUATE = Verb(
    summary="Recall of a model in both directions, by level and combined.",
    details=(
        "Ties count against the model, and are reported. SPLIT.json and SPLIT.npz contain the\n"
        "metrics and the rank of every query. They are written to the run's folder if it is\n"
        "evaluated on its own captions, otherwise to --out. With several checkpoints, the\n"
        "mean of their scores is evaluated, as an ensemble. A bundle, or a dual encoder such as\n"
        "CLIP, reads the photos; name --captions, and --photos if they are not next to it.\n\n"
        "coco-1k is the mean over five folds of 1,000 photos; eccv and cxc have more correct\n"
        "answers than COCO's own pairs."
    ),
    examples=(
        "hgan evaluate runs/flickr8k/seed1 --split test",
        "hgan evaluate runs/flickr8k/seed1/best --split val --json",
        "hgan evaluate runs/coco/seed1/best --protocol coco-5k,coco-1k,eccv,cxc",
        "hgan evaluate bundles/clip --captions data/flickr8k/captions.jsonl",
        "hgan evaluate runs/saf/seed1/best runs/sgr/seed1/best --out runs/sgraf",
    ),
    arguments=_evaluate_arguments,
    run=_evaluate,
)
