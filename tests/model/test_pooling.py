"""Generalised pooling compared with a loop that pools one row at a time."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from hgan.model.pooling import GeneralisedPooling


def pooling() -> GeneralisedPooling:
    torch.manual_seed(0)
    return GeneralisedPooling()


def naive(net: GeneralisedPooling, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The paper's equations for each item alone: no padding, no packing, no mask."""
    pooled = []
    for rows, real in zip(x, mask, strict=True):
        values = rows[real]
        count = len(values)
        if count == 0:
            pooled.append(torch.zeros(x.shape[-1]))
            continue
        half = net.position_width // 2
        angle = torch.tensor(
            [[k / 10000 ** (2 * i / net.position_width) for i in range(half)] for k in range(count)]
        )
        positions = torch.empty(count, net.position_width)
        positions[:, 0::2], positions[:, 1::2] = angle.sin(), angle.cos()
        states = net.gru(positions[None])[0][0]
        width = states.shape[1] // 2
        scores = net.score((states[:, :width] + states[:, width:]) / 2)[:, 0]
        weights = (scores / net.temperature).softmax(0)
        ranked = values.sort(dim=0, descending=True).values
        pooled.append((weights[:, None] * ranked).sum(0))
    return torch.stack(pooled)


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4))
def test_equals_a_loop_over_items_for_any_mask(rows: list[list[bool]]) -> None:
    mask = torch.tensor(rows)
    net = pooling()
    x = torch.randn(*mask.shape, 5, generator=torch.Generator().manual_seed(3)) - 1.0
    torch.testing.assert_close(net(x, mask), naive(net, x, mask), atol=1e-5, rtol=1e-5)


def test_a_mask_that_is_no_prefix_lets_no_fill_value_in() -> None:
    """The mask belongs to the order before sorting; carried over, it would let the fill in."""
    x = torch.tensor([[[9.0], [1.0], [9.0], [2.0]]])
    mask = torch.tensor([[False, True, False, True]])
    net = pooling()
    packed = net(torch.tensor([[[1.0], [2.0]]]), torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(net(x, mask), packed)
    assert 1.0 <= net(x, mask).item() <= 2.0


def test_an_item_without_rows_gives_zeros_and_a_finite_gradient() -> None:
    net = pooling()
    x = torch.randn(2, 3, 4, requires_grad=True)
    out = net(x, torch.tensor([[False] * 3, [True] * 3]))
    assert torch.equal(out[0], torch.zeros(4))
    out.sum().backward()
    assert torch.isfinite(x.grad).all() and torch.equal(x.grad[0], torch.zeros(3, 4))
    assert net(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.bool)).shape == (2, 4)


def test_half_precision_is_safe_from_the_fill_value() -> None:
    net = pooling()
    x = torch.randn(2, 4, 3)
    mask = torch.tensor([[True, False, True, True], [False, False, False, True]])
    found = net(x.bfloat16(), mask)
    torch.testing.assert_close(found.float(), net(x, mask), atol=0.03, rtol=0.03)


def test_frozen_weights_equal_the_live_ones_for_every_length() -> None:
    live, frozen = pooling(), pooling()
    frozen.freeze(9)
    for n in range(1, 10):
        x = torch.randn(n, n, 4)
        mask = torch.ones(n, n, dtype=torch.bool).tril()
        torch.testing.assert_close(frozen(x, mask), live(x, mask))
        torch.testing.assert_close(frozen.table[: n + 1, :n], live.weights(n))
    assert "table" not in frozen.state_dict()
