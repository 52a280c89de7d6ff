"""The verbs that make a model: `extract`, `train`, `evaluate`, `export`."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from hgan.cli.verb import Verb
from hgan.errors import ConfigError

if TYPE_CHECKING:
    from hgan.config import Config


def _need_training_half(verb: str) -> None:
    """Raise `ConfigError` where torch is not installed."""
    if find_spec("torch") is None:
        raise ConfigError(
            f"`hgan {verb}` needs the training half, which is not installed: "
            "pip install '.[train]' in the project's folder"
        )


def _config_arguments(parser: ArgumentParser) -> None:
    from hgan.config import Config

    if find_spec("docstring_parser"):  # reads what hgan.config says of each setting
        set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser.add_argument("--config", action="config", help="YAML file with the settings")
    parser.add_class_arguments(Config)


def _config(parser: ArgumentParser, chosen: Namespace) -> "Config":
    """The settings of a run: defaults, then the YAML files, then the command line."""
    from hgan.config import Config

    made = parser.instantiate(chosen)
    return Config(**{name: made[name] for name in Config.__dataclass_fields__})


def parse_config(arguments: list[str]) -> "Config":
    """The settings that `hgan train` would take from these arguments, for scripts."""
    parser = ArgumentParser(exit_on_error=False)
    _config_arguments(parser)
    return _config(parser, parser.parse_args(arguments))


def _extract(parser: ArgumentParser, chosen: Namespace) -> int:
    _need_training_half("extract")
    from hgan.data.captions.read import read_captions
    from hgan.vision import load_backbone
    from hgan.vision.extract import extract

    config = _config(parser, chosen)
    captions = read_captions(config.data.captions)
    vision = config.vision
    backbone = load_backbone(vision.backbone, vision.grid, vision.size)
    folder = config.data.features
    store = extract(backbone, config.data.photos, captions.images, folder, vision.views)
    skipped = store.manifest.skipped
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}", file=sys.stderr)
    print(f"{len(store.rows)} photos, {vision.views} views each, {len(skipped)} skipped: {folder}")
    return 0


def _train_arguments(parser: ArgumentParser) -> None:
    _config_arguments(parser)
    parser.add_argument("--resume", action="store_true", help="go on where the run was cut short")


def _train(parser: ArgumentParser, chosen: Namespace) -> int:
    _need_training_half("train")
    from hgan.training.trainer import train

    result = train(_config(parser, chosen), resume=chosen.resume)
    print(f"best epoch: {result.epoch}, validation rSum {result.rsum:.1f}", file=sys.stderr)
    print(result.best)
    return 0


def _evaluate_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("checkpoint", type=Path, nargs="+",
        help="folder of a checkpoint, as runs/.../best; of several, their scores are averaged")
    add("--split", default="test", help="split of its data set: test, val, ...")
    add("--protocol", default="full", help="full, flickr30k-1k, coco-5k, coco-1k, eccv or cxc; "
        "several with commas between them")
    add("--captions", type=Path, help="caption file, by default the run's own")
    add("--features", type=Path, help="feature store, by default the run's own")
    add("--out", type=Path, help="folder of the record, by default the run's own")
    add("--json", action="store_true", help="print the record as JSON")


def _evaluate(_parser: ArgumentParser, chosen: Namespace) -> int:
    _need_training_half("evaluate")
    from rich.console import Console

    from hgan.cli.evaluation import evaluate_checkpoints, tables

    protocols = [name.strip() for name in chosen.protocol.split(",")]
    record = evaluate_checkpoints(
        chosen.checkpoint, chosen.split, protocols, chosen.captions, chosen.features, chosen.out
    )
    if chosen.json:
        print(json.dumps(record, indent=2))
    else:
        for table in tables(record, protocols):
            Console().print(table, "")
    return 0


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="folder of a checkpoint, as runs/.../best")
    parser.add_argument("out", type=Path, help="folder of the bundle")
    parser.add_argument("--compact", action="store_true", help="smaller: int8 and float16 weights")


def _export(_parser: ArgumentParser, chosen: Namespace) -> int:
    _need_training_half("export")
    from hgan.export import export

    export(chosen.checkpoint, chosen.out, chosen.compact)
    print(chosen.out)
    return 0


LEARN = {
    "extract": Verb(
        summary="Extract region features of a data set's photos, once.",
        details=(
            "Every photo of the caption file goes through the frozen vision backbone; training\n"
            "reads the result. Interrupted, it goes on where it stopped. Every setting of the\n"
            "YAML file can be given as --KEY VALUE after it."
        ),
        examples=(
            "hgan extract --config configs/flickr8k.yaml",
            "hgan extract --config configs/flickr8k.yaml --vision.views 2",
        ),
        arguments=_config_arguments,
        run=_extract,
        usage="hgan extract --config FILE [--KEY VALUE ...]",
    ),
    "train": Verb(
        summary="Train a model on extracted features.",
        details=(
            "Prints the folder of the best checkpoint, chosen on the validation split. Every\n"
            "setting of the YAML file can be given as --KEY VALUE after it. A run that was cut\n"
            "short loses at most an epoch: --resume goes on as if nothing had happened."
        ),
        examples=(
            "hgan train --config configs/flickr8k.yaml --seed 1",
            "hgan train --config configs/flickr8k.yaml --seed 1 --resume",
            "hgan train --config configs/flickr8k.yaml --optim.epochs 3 --run runs/short",
        ),
        arguments=_train_arguments,
        run=_train,
        usage="hgan train --config FILE [--seed N] [--resume] [--KEY VALUE ...]",
    ),
    "evaluate": Verb(
        summary="Recall of a checkpoint in both directions, by level and combined.",
        details=(
            "Ties count against the model, and are reported. SPLIT.json and SPLIT.npz keep the\n"
            "figures and every query's rank, beside the checkpoint of a run that is evaluated on\n"
            "its own captions, else in --out. Of several checkpoints, the mean of their scores is\n"
            "evaluated, and is called an ensemble everywhere.\n\n"
            "coco-1k is the mean over five folds of 1,000 photos; eccv and cxc know more right\n"
            "answers than COCO's own pairs."
        ),
        examples=(
            "hgan evaluate runs/flickr8k/seed1/best --split test",
            "hgan evaluate runs/flickr8k/seed1/best --split val --json",
            "hgan evaluate runs/coco/seed1/best --protocol coco-5k,coco-1k,eccv,cxc",
            "hgan evaluate runs/saf/seed1/best runs/sgr/seed1/best --out runs/sgraf",
        ),
        arguments=_evaluate_arguments,
        run=_evaluate,
    ),
    "export": Verb(
        summary="Export a checkpoint as a bundle that `hgan index` can use.",
        details="It runs without torch: two ONNX networks, a tokenizer, the settings, a card.",
        examples=(
            "hgan export runs/flickr8k/seed1/best bundles/mine",
            "hgan export runs/flickr8k/seed1/best bundles/small --compact",
        ),
        arguments=_export_arguments,
        run=_export,
    ),
}
"""By name."""
