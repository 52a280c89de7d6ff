"""Score all pairs of photos and captions in blocks, with a backward pass for few or all pairs.

The gradient of a loss may reach only a few pairs, such as those of the hardest negatives. In the
backward pass, only these pairs are then scored again; following the gradient through the blocks
would mostly multiply zeros.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from hgan.encoded import Encoded
from hgan.model.baselines.blocks import Block, Captions, Size, blocks, pack

FEW = 0.25
"""Part of the pairs up to which they are scored again in the backward pass."""
PAIRS = 64
"""Number of pairs that are scored again at once."""

Score = Callable[[Sequence[Tensor], Captions], Tensor]
"""A function from tensors of b photos, (b, ...) each, and t captions to scores (b, t)."""


def score_pairs(
    photos: Sequence[Tensor],
    texts: Encoded[Tensor],
    score: Score,
    size: Size,
    parameters: Sequence[Tensor] = (),
    apart: bool = True,
) -> Tensor:
    """Scores (B, T) of all pairs of photos and captions.

    Args:
        photos: what `score` needs of the photos, (B, ...) each.
        texts: T captions.
        score: scores a block.
        size: size of the blocks.
        parameters: what else gets a gradient in `score`.
        apart: whether the score of a pair depends only on it. If not, as with batch norm, each
            block has all photos, and no pair is scored again.
    """
    packed = pack(texts)
    count = len(photos[0])
    if not apart:
        size = replace(size, photos=max(1, count))
    plan = _Plan(
        score, list(blocks(count, packed.counts, size)), packed.counts, tuple(parameters), apart
    )
    tensors = (*photos, packed.whole, packed.words)
    if torch.is_grad_enabled() and any(x.requires_grad for x in (*tensors, *parameters)):
        scores = _Scores.apply(plan, *tensors, *parameters)  # type: ignore[no-untyped-call]
    else:
        scores = packed.whole.new_empty(count, len(packed.counts))
        for block in plan.blocks:
            part = _take(tensors, block)
            scores[block.photos, block.captions] = _score(plan, part, block.groups)
    assert isinstance(scores, Tensor)
    return scores.index_select(1, packed.order.argsort())


@dataclass(frozen=True)
class _Plan:
    score: Score
    blocks: list[Block]
    counts: list[int]
    parameters: tuple[Tensor, ...]
    apart: bool


Tensors = Sequence[Tensor]
"""Tensors of photos, then the vectors and the words of captions: (T, D) and (N, D_l) of a batch,
(g, t, D) and (g, n, D_l) of a block."""


def _take(tensors: Tensors, block: Block) -> list[Tensor]:
    """The tensors of a block, as views."""
    *photos, whole, words = tensors
    return [
        *(x[block.photos] for x in photos),
        whole[None, block.captions],
        words[None, block.words],
    ]


def _score(plan: _Plan, tensors: Tensors, groups: tuple[tuple[int, int], ...]) -> Tensor:
    *photos, whole, words = tensors
    return plan.score(photos, Captions(whole, words, groups))


class _Scores(Function):
    """The scores (B, T), from a plan, the tensors of photos and captions, and the parameters."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, *inputs: Tensor) -> Tensor:
        tensors = inputs[: len(inputs) - len(plan.parameters)]
        scores = tensors[-2].new_empty(len(tensors[0]), len(plan.counts))
        ctx.plan, ctx.graphs = plan, []
        ctx.save_for_backward(*tensors)
        with torch.enable_grad():
            for block in plan.blocks:
                leaves = _leaves(tensors, _take(tensors, block))
                found = _score(plan, leaves, block.groups)
                scores[block.photos, block.captions] = found.detach()
                ctx.graphs.append((block, leaves, found))
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        plan, tensors = ctx.plan, ctx.saved_tensors
        sums = [torch.zeros_like(x) for x in (*tensors, *plan.parameters)]
        few = plan.apart and gradient.count_nonzero() <= FEW * gradient.numel()
        if few:
            ctx.graphs.clear()
            _add_pairs(plan, tensors, gradient, sums)
        else:
            _add_blocks(plan, ctx.graphs, gradient, sums)
        needed = ctx.needs_input_grad[1:]
        return None, *(x if need else None for x, need in zip(sums, needed, strict=True))


def _leaves(tensors: Tensors, parts: Tensors) -> list[Tensor]:
    """Parts of tensors, as leaves of a graph of their own."""
    return [
        part.detach().requires_grad_(x.requires_grad)
        for x, part in zip(tensors, parts, strict=True)
    ]


def _add_blocks(
    plan: _Plan,
    graphs: list[tuple[Block, list[Tensor], Tensor]],
    gradient: Tensor,
    sums: list[Tensor],
) -> None:
    """Add the gradients of all tensors and parameters to `sums`, block by block."""
    while graphs:  # each graph is freed once it has been used
        block, leaves, scores = graphs.pop()
        found = _gradients(plan, leaves, scores, gradient[block.photos, block.captions])
        for total, part in zip(
            [*_take(sums[: len(leaves)], block), *sums[len(leaves) :]], found, strict=True
        ):
            if part is not None:
                total += part


def _add_pairs(plan: _Plan, tensors: Tensors, gradient: Tensor, sums: list[Tensor]) -> None:
    """Add the gradients of all tensors and parameters to `sums`, for pairs that have a gradient."""
    *photos, whole, words = tensors
    starts = torch.tensor([0, *accumulate(plan.counts)], device=gradient.device)
    for i, t, count in _pairs(plan.counts, gradient):
        rows = starts[t, None] + torch.arange(count, device=gradient.device)  # (P, count)
        index = [*(i for _ in photos), t, rows.flatten()]
        parts = [*(x[i] for x in photos), whole[t, None], words[rows]]
        with torch.enable_grad():
            leaves = _leaves(tensors, parts)
            scores = _score(plan, leaves, ((1, count),))  # (P, 1)
        found = _gradients(plan, leaves, scores, gradient[i, t, None])
        for total, place, part in zip(sums, index, found, strict=False):
            if part is not None:
                total.index_add_(0, place, part.reshape(len(place), *total.shape[1:]))
        for total, part in zip(sums[len(leaves) :], found[len(leaves) :], strict=True):
            if part is not None:
                total += part


def _pairs(counts: Sequence[int], gradient: Tensor) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Photos (P), captions (P) and the captions' number of words, of pairs with a gradient."""
    captions, photos = gradient.T.nonzero(as_tuple=True)  # sorted by caption
    start = 0
    for count, same in groupby(counts[t] for t in captions.tolist()):
        stop = start + len(list(same))
        for i, t in zip(
            torch.split(photos[start:stop], PAIRS),
            torch.split(captions[start:stop], PAIRS),
            strict=True,
        ):
            yield i, t, count
        start = stop


def _gradients(
    plan: _Plan, leaves: list[Tensor], scores: Tensor, gradient: Tensor
) -> list[Tensor | None]:
    """The gradients of the leaves and the parameters; None if there is none."""
    found: list[Tensor | None] = [None] * (len(leaves) + len(plan.parameters))
    if not scores.requires_grad:  # captions without words, for example
        return found
    inputs = [*leaves, *plan.parameters]
    places = [k for k, x in enumerate(inputs) if x.requires_grad]
    got = torch.autograd.grad(scores, [inputs[k] for k in places], gradient, allow_unused=True)
    for k, part in zip(places, got, strict=True):
        found[k] = part
    return found
