"""A cache for the output of a text encoder's frozen layers, which is computed once per caption.

For many captions it is stored on disk, so that all runs of a sweep can use it.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hgan.chunks import chunks
from hgan.data.batches.tokens import ENCODE_BATCH, distinct_by_length, pad
from hgan.files import atomic_write
from hgan.locations import cache_folder
from hgan.progress import console, progress
from hgan.text.encoder import TextEncoder

LIMIT = 2 << 30
"""Maximum size of the cache in bytes; the captions of MS-COCO would need 6 GB."""
ON_DISK_FROM = 1000
"""Minimum number of captions for which the cache is stored on disk."""


def cached_states(
    encoder: TextEncoder,
    tokens: Sequence[Tensor],
    layers: int | None,
    dtype: torch.dtype = torch.bfloat16,
) -> list[Tensor] | None:
    """States (W, D_t) of each caption after the pretrained encoder's first layers; None if they are
    too large. They are computed in the batches of evaluation, so that as float32 they are what
    evaluation would compute, bit for bit.

    It is read from `cache_folder()` if an earlier run has stored it there.

    Args:
        encoder: a text encoder with frozen layers, or one that keeps the pretrained ones.
        tokens: the ids (W) of each caption.
        layers: number of layers; None for all.
        dtype: type of the states.
    """
    lengths = [len(row) for row in tokens]
    if dtype.itemsize * encoder.width * sum(lengths) > LIMIT:
        return None
    if len(tokens) < ON_DISK_FROM:
        return list(torch.split(_compute(encoder, tokens, layers, dtype), lengths))
    file = cache_folder() / f"states-{_key(encoder, tokens, layers, dtype)}.safetensors"
    flat = _read(file)
    if flat is None or flat.shape != (sum(lengths), encoder.width):
        flat = _compute(encoder, tokens, layers, dtype)
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


def _compute(
    encoder: TextEncoder, tokens: Sequence[Tensor], layers: int | None, dtype: torch.dtype
) -> Tensor:
    """The output for all captions, concatenated, (sum of W, D_t)."""
    found: list[Tensor] = []
    captions, places = distinct_by_length(tokens)
    with progress("encode captions", total=len(captions), unit="captions") as bar:
        for chosen in chunks(captions, ENCODE_BATCH):
            batch = pad([tokens[p] for p in chosen])
            states = encoder.pretrained_states(batch.ids, batch.mask, layers).to(dtype)
            found += [row[: len(tokens[p])].clone() for p, row in zip(chosen, states, strict=True)]
            bar.advance(len(chosen))
    return torch.cat([found[place] for place in places])


def _key(
    encoder: TextEncoder, tokens: Sequence[Tensor], layers: int | None, dtype: torch.dtype
) -> str:
    """A hash of the weights, the number of layers, the type of the states and the captions."""
    digest = sha256(f"{encoder.describe()} {layers} {dtype} {torch.__version__}".encode())
    for name, weight in encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(weight.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    for row in tokens:
        digest.update(row.numpy().tobytes() + b"\n")
    return digest.hexdigest()[:16]
