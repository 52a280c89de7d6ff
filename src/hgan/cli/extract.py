"""The verb `extract`: extract region features of a data set's photos."""

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.device import TORCH_NAMES, device_argument, use_device
from hgan.cli.settings import SettingsParser, config_of, need_training_half, settings_arguments
from hgan.cli.verb import Verb
from hgan.terminal import print_visible

if TYPE_CHECKING:
    from hgan.training.config import Config
    from hgan.vision.backbone import Backbone


def _extract_arguments(parser: ArgumentParser) -> None:
    settings_arguments(parser)
    device_argument(parser, TORCH_NAMES)


def _extract(parser: ArgumentParser, chosen: Namespace) -> int:
    need_training_half("extract")
    use_device(chosen.device)
    from hgan.data.captions.read import read_captions
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
    if vision.mosaics:
        train = [n for n, split in zip(captions.images, captions.splits, strict=True)
                 if split == "train"]  # fmt: skip
        _extract_mosaics(backbone, config, train, skipped.keys())
    return 0


def _extract_mosaics(
    backbone: "Backbone", config: "Config", train: list[str], skipped: Collection[str]
) -> None:
    """Extract mosaics of the photos to train on, or say why there are none."""
    from hgan.data.features.mosaics import FOLDER, mosaic_ids
    from hgan.vision.extract import extract

    ids = mosaic_ids(train, config.vision.mosaics)
    problem = ""
    if not ids:
        where = f"{config.data.captions} has {len(train)} photos in split 'train'"
        problem = f"{where}, and a mosaic needs four"
    elif bad := sum(name in skipped for name in train):
        problem = f"{bad} photos to train on were skipped"
    if problem:
        print_visible(f"no mosaics: {problem}", file=sys.stderr)
        return
    folder = config.data.features / FOLDER
    store = extract(backbone, config.data.photos, ids, folder)
    print(f"{len(store.rows)} mosaics of photos to train on: {folder}")


EXTRACT = Verb(
    summary="Extract region features of a data set's photos, once before training.",
    details=(
        "Runs the frozen vision backbone on every photo of the caption file; training reads\n"
        "the result. An interrupted run continues where it stopped. Photos that cannot be read\n"
        "are skipped and listed, and the next run tries them again; if they are more than a\n"
        "tenth, the run fails. Every setting of the YAML file can be overridden with --KEY VALUE."
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
