"""The device on which torch trains, evaluates and extracts, by the same setting as for bundles."""

import os

import torch

from hgan.errors import ConfigError
from hgan.runtime.device import VARIABLE

KINDS = ("cuda", "mps")
"""Devices of torch other than the processor, in the order in which `auto` tries them."""


def torch_device() -> torch.device:
    """The device that $HGAN_DEVICE names; by default the first GPU that torch can use, or else the
    processor.

    Raises:
        ConfigError: there is no such device, or torch cannot use it here.
    """
    name = os.environ.get(VARIABLE, "").strip().lower() or "auto"
    kind, colon, number = name.partition(":")
    if name == "auto":
        found = next((kind for kind in KINDS if _count(kind)), "cpu")
        return torch.device(found)
    if name == "cpu":
        return torch.device(name)
    if kind not in KINDS or (colon and not number.isdecimal()):
        raise ConfigError(f"{VARIABLE}: {name}, but for torch it must be auto, cpu, cuda or mps")
    count = _count(kind)
    if not count:
        raise ConfigError(
            f"{VARIABLE}: {name}, but torch {torch.__version__} finds no such device; install a "
            "build of torch for it (https://pytorch.org/get-started), or set it to cpu"
        )
    if number and int(number) >= count:
        raise ConfigError(f"{VARIABLE}: {name}, but there are {count}, counted from {kind}:0")
    return torch.device(name)


def _count(kind: str) -> int:
    """Number of devices of a kind that torch can use."""
    if kind == "cuda":
        return torch.cuda.device_count()
    return int(torch.backends.mps.is_available())
