"""Handle encoded photos and captions as one: join batches, take some of the items."""

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from hgan.encoded import Encoded


def concatenate(parts: Sequence[Encoded[Tensor]]) -> Encoded[Tensor]:
    """Batches one after the other, padded to the longest."""
    longest = max(part.mask.shape[1] for part in parts)

    def grow(x: Tensor) -> Tensor:  # (N, n, ...) to (N, longest, ...)
        return torch.cat([x, x.new_zeros(len(x), longest - x.shape[1], *x.shape[2:])], dim=1)

    return Encoded(
        context=torch.cat([part.context for part in parts]),
        slots=torch.cat([part.slots for part in parts]),
        local=torch.cat([grow(part.local) for part in parts]),
        mask=torch.cat([grow(part.mask) for part in parts]),
    )


def take(encoded: Encoded[Tensor], index: slice | Tensor) -> Encoded[Tensor]:
    """Some of the items."""
    return Encoded(*(getattr(encoded, f.name)[index] for f in fields(Encoded)))
