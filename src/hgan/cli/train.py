"""The verb `train`: train a model on photos and captions."""

import sys

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.device import TORCH_NAMES, device_argument, use_device
from hgan.cli.settings import SettingsParser, config_of, need_training_half, settings_arguments
from hgan.cli.verb import Verb


def _train_arguments(parser: ArgumentParser) -> None:
    settings_arguments(parser)
    device_argument(parser, TORCH_NAMES)
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")


def _train(parser: ArgumentParser, chosen: Namespace) -> int:
    need_training_half("train")
    use_device(chosen.device)
    from hgan.launch import is_first_process
    from hgan.training.trainer import train

    result = train(config_of(parser, chosen), resume=chosen.resume)
    if not is_first_process():  # of those that a launcher has started
        return 0
    print(f"best epoch: {result.epoch}, validation rSum {result.rsum:.1f}", file=sys.stderr)
    print(result.best)
    return 0


TRAIN = Verb(
    summary="Train a model on photos and captions.",
    details=(
        "Extracts the features of the photos first if they are missing, as `hgan extract` does.\n"
        "Prints the folder of the best checkpoint, chosen on the validation split. Every\n"
        "setting of the YAML file can be overridden with --KEY VALUE after it. An interrupted\n"
        "run loses at most one epoch: --resume continues it. --model.name and --loss.name\n"
        "choose the matcher and the loss; --model.name scan --help shows SCAN's settings.\n"
        "On several GPUs or machines, start it with accelerate launch -m hgan train ..."
    ),
    examples=(
        "hgan train --data.captions my/captions.jsonl --data.photos my/photos",
        "hgan train --config configs/flickr8k.yaml --seed 1",
        "hgan train --config configs/flickr8k.yaml --seed 1 --resume",
        "hgan train --config configs/flickr8k.yaml --optim.epochs 3 --run runs/short",
        "hgan train --config configs/flickr8k.yaml --plugin examples/add_a_matcher.py "
        "--model.name means",
    ),
    arguments=_train_arguments,
    run=_train,
    usage="hgan train [--config FILE] [--seed N] [--resume] [--device NAME] [--KEY VALUE ...]",
    parser_class=SettingsParser,
)
