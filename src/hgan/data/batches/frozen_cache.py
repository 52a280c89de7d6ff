"""What a text encoder's frozen layers say of captions: computed once, kept for the next runs.

Runs of one recipe differ in seed and matcher, not in these; a sweep would compute them for each.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from hgan.data.batches.tokens import pad
from hgan.files import atomic_write
from hgan.locations import cache_folder
from hgan.progress import console, progress
from hgan.text.encoder import TextEncoder

LIMIT = 2 << 30
"""Bytes of states that are kept at all; the captions of MS-COCO would take 6 GB."""
ON_DISK_FROM = 1000
"""Captions that are worth a file."""
AT_ONCE = 256
"""Captions that go through the frozen layers at once."""


def frozen_states(encoder: TextEncoder, tokens: Sequence[Tensor]) -> list[Tensor] | None:
    """States (W, D_t) bfloat16 of each caption after the frozen layers; None where it is too much.

    Found in `cache_folder()` if an earlier run has left them there.

    Args:
        encoder: with some frozen layers.
        tokens: the ids (W) of each caption.
    """
    lengths = [len(row) for row in tokens]
    if 2 * encoder.width * sum(lengths) > LIMIT:
        return None
    if len(tokens) < ON_DISK_FROM:
        return list(torch.split(_compute(encoder, tokens), lengths))
    file = cache_folder() / f"states-{_key(encoder, tokens)}.safetensors"
    flat = _read(file)
    if flat is None or flat.shape != (sum(lengths), encoder.width):
        flat = _compute(encoder, tokens)
        try:
            with atomic_write(file) as target:
                target.write(save({"states": flat}))
        except OSError as error:
            console.print(f"{file}: not kept for the next run ({error.strerror})")
    return list(torch.split(flat, lengths))


def _read(file: Path) -> Tensor | None:
    try:
        return load_file(file).get("states")
    except (OSError, SafetensorError):  # absent, or damaged: made anew
        return None


def _compute(encoder: TextEncoder, tokens: Sequence[Tensor]) -> Tensor:
    """All captions' states one after the other, (sum of W, D_t)."""
    found = [torch.empty(0)] * len(tokens)
    order = np.argsort([len(row) for row in tokens], kind="stable")  # little is padded
    with progress("read captions", total=len(tokens), unit="captions") as bar:
        for start in range(0, len(order), AT_ONCE):
            chosen = order[start : start + AT_ONCE]
            batch = pad([tokens[p] for p in chosen])
            states = encoder.frozen_states(batch.ids, batch.mask).to(torch.bfloat16)
            for position, row in zip(chosen, states, strict=True):
                found[position] = row[: len(tokens[position])].clone()
            bar.advance(len(chosen))
    return torch.cat(found)


def _key(encoder: TextEncoder, tokens: Sequence[Tensor]) -> str:
    """Weights, frozen layers and captions, in sixteen letters."""
    digest = sha256(f"{encoder.describe()} {encoder.frozen_layers} {torch.__version__}".encode())
    for name, weight in encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(weight.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    for row in tokens:
        digest.update(row.numpy().tobytes() + b"\n")
    return digest.hexdigest()[:16]
