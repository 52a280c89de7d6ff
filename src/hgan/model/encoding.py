"""Create `Encoded` tensors, concatenate batches of them, and select items."""

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from hgan.encoded import Encoded


def make_encoded(
    *,
    context: Tensor | None = None,
    slots: Tensor | None = None,
    local: Tensor | None = None,
    mask: Tensor | None = None,
) -> Encoded[Tensor]:
    """Create N encoded items; arguments that are not given become tensors of width zero.

    Args:
        context: (N, D)
        slots: (N, K, D_s)
        local: (N, n, D_l), zero outside the mask
        mask: (N, n) bool, required with `local`
    """
    given = next(x for x in (context, slots, local) if x is not None)
    count = given.shape[0]
    if local is None or mask is None:
        local, mask = given.new_zeros(count, 0, 0), given.new_zeros(count, 0).bool()
    return Encoded(
        context=given.new_zeros(count, 0) if context is None else context,
        slots=given.new_zeros(count, 0, 0) if slots is None else slots,
        local=local,
        mask=mask,
    )


def concatenate(parts: Sequence[Encoded[Tensor]]) -> Encoded[Tensor]:
    """Concatenate batches, padded to the longest row."""
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
    """Select items by index."""
    return Encoded(*(getattr(encoded, f.name)[index] for f in fields(Encoded)))
