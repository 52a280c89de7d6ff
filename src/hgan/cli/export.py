"""The verb `export`: export a checkpoint as a bundle."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.settings import load_plugins, need_training_half, plugin_argument
from hgan.cli.verb import Verb


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", type=Path, help="folder of a run, such as runs/x/seed1, or of a checkpoint"
    )
    parser.add_argument("out", type=Path, help="folder of the bundle")
    parser.add_argument("--compact", action="store_true", help="smaller: int8 and float16 weights")
    parser.add_argument(
        "--captions",
        type=Path,
        help="training captions; with them, a model with a semantic prior encodes texts faster",
    )
    plugin_argument(parser)


def _export(_parser: ArgumentParser, chosen: Namespace) -> int:
    need_training_half("export")
    load_plugins(chosen.plugin)
    from hgan.data.captions.read import read_captions
    from hgan.export.bundle import export
    from hgan.model.io import checkpoint_of

    texts = read_captions(chosen.captions).split("train").texts if chosen.captions else ()
    export(checkpoint_of(chosen.checkpoint), chosen.out, chosen.compact, texts)
    print(chosen.out)
    return 0


EXPORT = Verb(
    summary="Export a checkpoint as a bundle that `hgan index` can use.",
    details="A bundle runs without torch: two ONNX networks, tokenizer, settings, model card.",
    examples=(
        "hgan export runs/flickr8k/seed1 bundles/mine",
        "hgan export runs/flickr8k/seed1/best bundles/small --compact",
        "hgan export runs/flickr8k/seed1/best bundles/fast --captions data/flickr8k/captions.jsonl",
    ),
    arguments=_export_arguments,
    run=_export,
)
