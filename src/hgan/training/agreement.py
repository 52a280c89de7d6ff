"""Check that all processes of a run have the same settings, data and network before they start."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hgan.data.batches.dataset import Dataset
from hgan.errors import ConfigError
from hgan.files import CHECKSUMS
from hgan.processes import Processes
from hgan.training.config import Config
from hgan.version import __version__


def check_agreement(processes: Processes, what: dict[str, Any], fix: str) -> None:
    """Check that all processes have the same values.

    Args:
        processes: the processes.
        what: values by name, which can be written as JSON.
        fix: what the user can do if they differ.

    Raises:
        ConfigError: a value differs.
    """
    if processes.count == 1:
        return
    given = [json.loads(text) for text in processes.texts(json.dumps(what, default=str))]
    for rank, values in enumerate(given[1:], 1):
        if values != given[0]:
            other = [
                f"{name}: {_short(values.get(name))} in process {rank}, "
                f"{_short(given[0].get(name))} in process 0"
                for name in sorted({*values, *given[0]})
                if values.get(name) != given[0].get(name)
            ]
            raise ConfigError(f"processes of one run differ ({'; '.join(other)}); {fix}")


def check_settings(processes: Processes, config: Config, precision: str, **how: Any) -> None:
    """Check that all processes were started with the same settings, in the same way, with the same
    versions.

    Raises:
        ConfigError: they were not.
    """
    flat = {"hgan": __version__, "torch": torch.__version__, "precision": precision} | how
    for section, values in config.as_dict().items():
        own = values if isinstance(values, dict) else {"": values}
        flat |= {f"{section}.{key}".rstrip("."): value for key, value in own.items()}
    fix = "start all processes with the same command, files and versions"
    check_agreement(processes, flat, fix)


def check_data(processes: Processes, sets: dict[str, Dataset], network: nn.Module) -> None:
    """Check that all processes read the same captions and features, and build the same network.

    Raises:
        ConfigError: they do not.
    """
    if processes.count == 1:
        return
    found = {"network": _digest((n, *p.shape) for n, p in network.named_parameters())}
    for name, data in sets.items():
        texts = data.captions.images, data.captions.texts, data.captions.image_of.tolist()
        first = data.images(np.array([0]))
        found |= {
            f"captions of {name}": _digest(texts),
            f"tokens of {name}": _digest(row.tolist() for row in data.tokens),
            f"features of {name}": _digest([first.regions.tolist(), first.context.tolist()]),
        }
    fix = "copy data.captions, data.features and the weights of text.encoder to all machines"
    check_agreement(processes, found, fix)


def check_state(processes: Processes, state: Path) -> None:
    """Check that all processes see the same state to resume from, or none.

    Raises:
        ConfigError: they do not.
    """
    processes.wait()  # the first may have recovered it
    file = state / CHECKSUMS
    found = file.read_text(encoding="utf-8") if file.exists() else str(state.exists())
    fix = f"{state.parent} must be a folder that all machines share, such as one on a network disk"
    check_agreement(processes, {"state to resume from": _digest([found])}, fix)


def _digest(values: Iterable[Any]) -> str:
    found = hashlib.sha256()
    for value in values:
        found.update(json.dumps(value).encode())
    return found.hexdigest()[:12]


def _short(value: Any) -> str:
    return "not set" if value is None else f"{value!s:.60}"
