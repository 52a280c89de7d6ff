"""The verb `extract`: extract region features of a data set's photos."""

import sys

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.device import TORCH_NAMES, device_argument, use_device
from hgan.cli.settings import SettingsParser, config_of, need_training_half, settings_arguments
from hgan.cli.verb import Verb
from hgan.terminal import print_visible


def _extract_arguments(parser: ArgumentParser) -> None:
    settings_arguments(parser)
    device_argument(parser, TORCH_NAMES)


def _extract(parser: ArgumentParser, chosen: Namespace) -> int:
    need_training_half("extract")
    use_device(chosen.device)
    from hgan.data.captions.read import read_captions
    from hgan.data.features.manifest import read_manifest
    from hgan.data.features.mosaics import FOLDER
    from hgan.vision.make import is_made, make_features

    config = config_of(parser, chosen)
    store = make_features(config.data, config.vision, read_captions(config.data.captions))
    for name, reason in store.skipped.items():
        print_visible(f"skipped {name}: {reason}", file=sys.stderr)
    rows, folder, skipped = len(store.rows), config.data.features, len(store.skipped)
    print(f"{rows} photos, {store.views} views each, {skipped} skipped: {folder}")
    if config.vision.mosaics and is_made(folder / FOLDER):
        mosaics = len(read_manifest(folder / FOLDER).ids)
        print(f"{mosaics} mosaics of photos to train on: {folder / FOLDER}")
    return 0


EXTRACT = Verb(
    summary="Extract region features of a data set's photos, once before training.",
    details=(
        "Runs the frozen vision backbone on every photo of the caption file; training reads\n"
        "the result, and makes it itself where it is missing. An interrupted run continues where\n"
        "it stopped. Photos that cannot be read are skipped and listed, and the next run tries\n"
        "them again; if they are more than a tenth, the run fails. Every setting of the YAML file\n"
        "can be overridden with --KEY VALUE."
    ),
    examples=(
        "hgan extract --config configs/flickr8k.yaml",
        "hgan extract --config configs/flickr8k.yaml --vision.views 2",
    ),
    arguments=_extract_arguments,
    run=_extract,
    usage="hgan extract --config FILE [--device NAME] [--KEY VALUE ...]",
    parser_class=SettingsParser,
)
