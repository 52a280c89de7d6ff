"""A cache for the output of a text encoder's frozen layers, which is computed once per caption.

For many captions it is stored on disk, so that all runs of a sweep can use it.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hgan.chunks import chunks
from hgan.data.batches.tokens import pad
from hgan.files import atomic_write
from hgan.locations import cache_folder
from hgan.progress import console, progress
from hgan.text.encoder import TextEncoder

LIMIT = 2 << 30
"""Maximum size of the cache in bytes; the captions of MS-COCO would need 6 GB."""
ON_DISK_FROM = 1000
"""Minimum number of captions for which the cache is stored on disk."""
BATCH = 256
"""Captions in a batch for the frozen layers."""


def cached_states(
    encoder: TextEncoder, tokens: Sequence[Tensor], layers: int | None
) -> list[Tensor] | None:
    """States (W, D_t) bfloat16 of each caption after the pretrained encoder's first layers; None if
    they are too large.

    It is read from `cache_folder()` if an earlier run has stored it there.

    Args:
        encoder: a text encoder with frozen layers, or one that keeps the pretrained ones.
        tokens: the ids (W) of each caption.
        layers: number of layers; None for all.
    """
    lengths = [len(row) for row in tokens]
    if 2 * encoder.width * sum(lengths) > LIMIT:
        return None
    if len(tokens) < ON_DISK_FROM:
        return list(torch.split(_compute(encoder, tokens, layers), lengths))
    file = cache_folder() / f"states-{_key(encoder, tokens, layers)}.safetensors"
    flat = _read(file)
    if flat is None or flat.shape != (sum(lengths), encoder.width):
        flat = _compute(encoder, tokens, layers)
        try:
            with atomic_write(file) as target:
                target.write(save({"states": flat}, {"sha256": _sha256(flat)}))
        except OSError as error:
            console.print(
                f"{file}: cannot be written, so the next run will compute it again "
                f"({error.strerror})"
            )
    return list(torch.split(flat, lengths))


def _read(file: Path) -> Tensor | None:
    """The states in a file; None if it is missing or damaged, so that they are computed again."""
    try:
        with safe_open(file, "pt") as stored:
            states: Tensor = stored.get_tensor("states")
            intact = (stored.metadata() or {}).get("sha256") == _sha256(states)
            return states if intact else None
    except (OSError, SafetensorError):
        return None


def _sha256(states: Tensor) -> str:
    return sha256(states.reshape(-1).view(torch.uint8).numpy().data).hexdigest()


def _compute(encoder: TextEncoder, tokens: Sequence[Tensor], layers: int | None) -> Tensor:
    """The output for all captions, concatenated, (sum of W, D_t)."""
    found = [torch.empty(0)] * len(tokens)
    order = np.argsort([len(row) for row in tokens], kind="stable")  # to reduce padding
    with progress("encode captions", total=len(tokens), unit="captions") as bar:
        for chosen in chunks(order, BATCH):
            batch = pad([tokens[p] for p in chosen])
            states = encoder.pretrained_states(batch.ids, batch.mask, layers).to(torch.bfloat16)
            for position, row in zip(chosen, states, strict=True):
                found[position] = row[: len(tokens[position])].clone()
            bar.advance(len(chosen))
    return torch.cat(found)


def _key(encoder: TextEncoder, tokens: Sequence[Tensor], layers: int | None) -> str:
    """A hash of the weights, the number of layers and the captions."""
    digest = sha256(f"{encoder.describe()} {layers} {torch.__version__}".encode())
    for name, weight in encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(weight.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    for row in tokens:
        digest.update(row.numpy().tobytes() + b"\n")
    return digest.hexdigest()[:16]
