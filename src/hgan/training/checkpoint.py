"""Save and load the state of a run, so that a resumed run is bit-identical to an uninterrupted one.

Tensors are stored as safetensors, everything else as JSON; pickle is not used.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hgan.errors import DataError
from hgan.files import check_checksums, parse_json, replace_folder, write_checksums, write_json
from hgan.model.io import writing_tensors

Tree = Any
"""Nested dicts and lists whose leaves are tensors or JSON values."""

TENSORS, VALUES = "tensors.safetensors", "state.json"


def save_state(folder: Path, state: Tree) -> None:
    """Write a state. If the process is killed, the folder has the old or the new state.

    Raises:
        OSError: the disk is full or the folder cannot be written; it is not changed.
    """
    replace_folder(folder, lambda new: _write(new, state))


def load_state(folder: Path) -> Tree:
    """Read a state.

    Raises:
        DataError: it is missing or damaged.
    """
    remedy = f"restore it from a copy, or remove {folder.parent} and train again"
    check_checksums(folder, remedy)
    file = folder / TENSORS
    try:
        tensors = load_file(file)
        file = folder / VALUES
        return _join(parse_json(file.read_text(encoding="utf-8")), tensors)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(f"{file}: no state to resume from ({error!r}); {remedy}") from error


def size_of(state: Tree) -> int:
    """Size of the tensors of a state in bytes."""
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, dict):
        return sum(map(size_of, state.values()))
    return sum(map(size_of, state)) if isinstance(state, list | tuple) else 0


def random_state() -> Tree:
    """State of torch's random generators."""
    return {"torch": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}


def set_random_state(state: Tree) -> None:
    """Restore a state from `random_state`; a machine with fewer GPUs gets those of its own."""
    torch.set_rng_state(state["torch"])
    torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])


def _write(folder: Path, state: Tree) -> None:
    tensors: dict[str, Tensor] = {}
    tree = _split(state, "", tensors)
    with writing_tensors(folder / TENSORS):
        save_file(tensors, folder / TENSORS)
    write_json(folder / VALUES, tree)
    write_checksums(folder, (TENSORS, VALUES))


def _split(value: Tree, path: str, tensors: dict[str, Tensor]) -> Tree:
    """Replace each tensor by a reference to its name in the tensor file."""
    if isinstance(value, Tensor):
        # Some tensors share memory (MFAR in both towers), so a copy of each is stored.
        tensors[path] = value.detach().cpu().clone().contiguous()
        return {"tensor": path}
    if isinstance(value, dict):
        pairs = [[key, _split(item, f"{path}/{key}", tensors)] for key, item in value.items()]
        return {"dict": pairs}  # in a JSON object, the optimiser's integer keys would become text
    if isinstance(value, list | tuple):
        return {"list": [_split(item, f"{path}/{i}", tensors) for i, item in enumerate(value)]}
    if isinstance(value, np.generic):
        value = value.item()
    return {"value": value}


def _join(tree: Tree, tensors: dict[str, Tensor]) -> Tree:
    kind, value = next(iter(tree.items()))
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {key: _join(item, tensors) for key, item in value}
    if kind == "list":
        return [_join(item, tensors) for item in value]
    return value
