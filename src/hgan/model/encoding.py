"""Create `Encoded` tensors, concatenate batches of them, and select or exchange items."""

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from hgan.encoded import Encoded
from hgan.processes import Processes


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
    return Encoded(
        context=torch.cat([part.context for part in parts]),
        slots=torch.cat([part.slots for part in parts]),
        local=torch.cat([_grow(part.local, longest) for part in parts]),
        mask=torch.cat([_grow(part.mask, longest) for part in parts]),
    )


def gather(own: Encoded[Tensor], processes: Processes) -> Encoded[Tensor]:
    """Concatenate what all processes have encoded, with gradients, padded to the longest row."""
    if processes.count == 1:
        return own
    longest = int(processes.largest(torch.tensor(own.mask.shape[1])))
    return Encoded(
        context=processes.gather(own.context),
        slots=processes.gather(own.slots),
        local=processes.gather(_grow(own.local, longest)),
        mask=processes.gather(_grow(own.mask, longest)),
    )


def split(encoded: Encoded[Tensor], size: int) -> list[Encoded[Tensor]]:
    """Split into batches of at most `size` items."""
    parts = (torch.split(getattr(encoded, f.name), size) for f in fields(Encoded))
    return [Encoded(*found) for found in zip(*parts, strict=True)]


def _grow(x: Tensor, longest: int) -> Tensor:
    """Pad rows (N, n, ...) to (N, longest, ...)."""
    return torch.cat([x, x.new_zeros(len(x), longest - x.shape[1], *x.shape[2:])], dim=1)


def take(encoded: Encoded[Tensor], index: slice | Tensor) -> Encoded[Tensor]:
    """Select items by index."""
    return Encoded(*(getattr(encoded, f.name)[index] for f in fields(Encoded)))
