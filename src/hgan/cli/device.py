"""The option --device, which several verbs have."""

import os

from jsonargparse import ArgumentParser

from hgan.runtime.device import VARIABLE


def device_argument(parser: ArgumentParser, names: str) -> None:
    """Add --device to a parser.

    Args:
        parser: the parser.
        names: the names that the verb allows, for the help.
    """
    parser.add_argument(
        "--device",
        type=str,
        metavar="NAME",
        help=f"{names}; by default ${VARIABLE}, or else auto: a GPU if it can be used",
    )


BUNDLE_NAMES = "what encodes photos: auto, cpu, cuda, cuda:1, tensorrt, coreml, openvino, ..."
TORCH_NAMES = "what torch runs on: auto, cpu, cuda, cuda:1 or mps"


def use_device(name: str | None) -> None:
    """Let the process use the device that --device names, if it is given."""
    if name is not None:
        os.environ[VARIABLE] = name


def prefer_processor() -> None:
    """Let the process use the processor, unless $HGAN_DEVICE is set: for one photo, the start of a
    GPU takes longer than the work."""
    os.environ.setdefault(VARIABLE, "cpu")
