"""The verb `extract`: extract region features of a data set's photos."""

import sys

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.settings import SettingsParser, config_of, need_training_half, plugin_argument
from hgan.cli.verb import Verb
from hgan.terminal import print_visible


def _extract(parser: ArgumentParser, chosen: Namespace) -> int:
    need_training_half("extract")
    from hgan.data.captions.read import read_captions
    from hgan.data.features.mosaics import FOLDER, mosaic_ids
    from hgan.vision.extract import extract
    from hgan.vision.load import backbone_of

    config = config_of(parser, chosen)
    captions = read_captions(config.data.captions)
    vision = config.vision
    backbone = backbone_of(vision)
    folder = config.data.features
    store = extract(backbone, config.data.photos, captions.images, folder, vision.views)
    skipped = store.manifest.skipped
    for name, reason in skipped.items():
        print_visible(f"skipped {name}: {reason}", file=sys.stderr)
    print(f"{len(store.rows)} photos, {vision.views} views each, {len(skipped)} skipped: {folder}")
    if ids := mosaic_ids(captions.split("train").images, vision.mosaics):
        store = extract(backbone, config.data.photos, ids, folder / FOLDER)
        print(f"{len(store.rows)} mosaics of photos to train on: {folder / FOLDER}")
    return 0


EXTRACT = Verb(
    summary="Extract region features of a data set's photos, once before training.",
    details=(
        "Runs the frozen vision backbone on every photo of the caption file; training reads\n"
        "the result. An interrupted run continues where it stopped. Every setting of the YAML\n"
        "file can be overridden with --KEY VALUE."
    ),
    examples=(
        "hgan extract --config configs/flickr8k.yaml",
        "hgan extract --config configs/flickr8k.yaml --vision.views 2",
    ),
    arguments=plugin_argument,
    run=_extract,
    usage="hgan extract --config FILE [--KEY VALUE ...]",
    parser_class=SettingsParser,
)
