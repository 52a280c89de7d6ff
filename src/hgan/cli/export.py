"""The verb `export`: export a checkpoint or a dual encoder as a bundle."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.settings import load_plugins, need_training_half, plugin_argument
from hgan.cli.verb import Verb


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "model",
        type=str,
        metavar="MODEL",
        help="folder of a run, such as runs/x/seed1, of a checkpoint or of a dual encoder of "
        "Hugging Face, or the name of one on the Hugging Face hub, such as "
        "openai/clip-vit-base-patch32",
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
    from hgan.export.model import export_model
    from hgan.hub import HubModel

    texts = read_captions(chosen.captions).split("train").texts if chosen.captions else ()
    export_model(HubModel.find(chosen.model), chosen.out, chosen.compact, texts)
    print(chosen.out)
    return 0


EXPORT = Verb(
    summary="Export a checkpoint, or a dual encoder such as CLIP, as a bundle for `hgan index`.",
    details=(
        "A bundle runs without torch: two ONNX networks, tokenizer, settings, model card. Dual\n"
        "encoders are CLIP, SigLIP and AltCLIP, with weights as safetensors. A name on the hub\n"
        "can have the prefix hf-hub:, to tell it from a folder."
    ),
    examples=(
        "hgan export runs/flickr8k/seed1 bundles/mine",
        "hgan export openai/clip-vit-base-patch32 bundles/clip",
        "hgan export hf-hub:someone/my-hgan bundles/theirs",
        "hgan export runs/flickr8k/seed1/best bundles/small --compact",
        "hgan export runs/flickr8k/seed1/best bundles/fast --captions data/flickr8k/captions.jsonl",
    ),
    arguments=_export_arguments,
    run=_export,
)
