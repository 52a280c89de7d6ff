"""The similarity vectors of SGRAF, without their large intermediate results.

A similarity vector is `W |a - y|^2`, squared element by element, where a is a weighted sum of rows.
Automatic differentiation would keep the squares of all pairs for the backward pass, and read and
write them several times. Here they are computed again in the backward pass, in parts that fit in
the processor's cache, and with operations in place. Computing them again costs a tenth of the
multiplication by W.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

CACHE = 3 * 2**18
"""Number of elements of the squares that are computed at once."""


class SimilarityVector(nn.Module):
    """`W |a - y|^2`, squared element by element and normalised to length one; equation 1."""

    def __init__(self, width: int, similarity_width: int) -> None:
        super().__init__()
        self.weight = nn.Linear(width, similarity_width)

    def forward(self, weights: Tensor, keys: Tensor, rows: Tensor) -> Tensor:
        """Compare weighted sums a of keys with rows y.

        Args:
            weights: (b, k, n) weights of the keys in the n sums.
            keys: (b, k, D).
            rows: (b, n, D), or (1, n, D) for all items.

        Returns:
            (b, n, S)
        """
        parameters = self.weight.weight, self.weight.bias
        x = _Projection.apply(weights, keys, rows, *parameters)  # type: ignore[no-untyped-call]
        assert isinstance(x, Tensor)
        return x * torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(1e-6).reciprocal()


class _Projection(Function):
    """W |a - y|^2 + bias, (b, n, S)."""

    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, keys: Tensor, rows: Tensor, matrix: Tensor, bias: Tensor
    ) -> Tensor:
        ctx.save_for_backward(weights, keys, rows, matrix)
        found = weights.new_empty(len(weights), weights.shape[2], len(matrix))
        for part, difference in _differences(weights, keys, rows):
            squares = difference.square_().flatten(0, 1)
            torch.addmm(bias, squares, matrix.T, out=found[part].flatten(0, 1))
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        weights, keys, rows, matrix = ctx.saved_tensors
        of_weights, of_keys = torch.empty_like(weights), torch.empty_like(keys)
        of_rows, of_matrix = torch.zeros_like(rows), torch.zeros_like(matrix)
        gradient = gradient.contiguous()
        for part, difference in _differences(weights, keys, rows):
            own = gradient[part].flatten(0, 1)
            of_matrix.addmm_(own.T, difference.square().flatten(0, 1))
            slope = difference.mul_(((2 * own) @ matrix).view_as(difference))  # of a, (b, n, D)
            torch.bmm(keys[part], slope.transpose(1, 2), out=of_weights[part])
            torch.bmm(weights[part], slope, out=of_keys[part])
            if len(rows) == 1:
                of_rows -= slope.sum(0, keepdim=True)
            else:
                of_rows[part] -= slope
        return of_weights, of_keys, of_rows, of_matrix, gradient.sum((0, 1))


def _differences(weights: Tensor, keys: Tensor, rows: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """The differences a - y (b, n, D), for some items at a time."""
    step = max(1, CACHE // max(1, weights.shape[2] * keys.shape[2]))
    for start in range(0, len(weights), step):
        part = slice(start, start + step)
        attended = weights[part].transpose(1, 2) @ keys[part]
        yield part, attended.sub_(rows if len(rows) == 1 else rows[part])
