"""Feature graphs: identity at the start, no leak from padding, edges that depend on the boxes."""

import torch
from torch import nn

from hgan.model.graph import MAX_OFFSET, BoxBias, FeatureGraph, OffsetBias


def graph(bias: nn.Module, open_up: bool = True, layers: int = 2) -> FeatureGraph:
    torch.manual_seed(0)
    made = FeatureGraph(8, layers, 0.4, bias)
    if open_up:
        for layer in made.layers:
            nn.init.normal_(layer.out.weight)
    return made.eval()


def inputs(batch: int = 3, n: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [0, 0, 0, 0, 1]]).bool()
    return torch.randn(batch, n, 8), torch.randn(batch, 8), mask


def boxes(*shape: int) -> torch.Tensor:
    torch.manual_seed(2)
    return torch.rand(*shape, 2, 2).sort(dim=-2).values.flatten(-2)


def test_begins_as_the_identity_and_is_none_once_opened() -> None:
    local, context, mask = inputs()
    same = graph(BoxBias(), open_up=False).train()(local, context, mask, boxes(5))
    assert torch.equal(same[0], local) and torch.equal(same[1], context)
    other = graph(BoxBias())(local, context, mask, boxes(5))
    assert (other[0] - local).abs().mean() > 0.1


def test_padding_changes_no_real_node_whatever_it_holds() -> None:
    local, context, mask = inputs()
    where = boxes(3, 5)
    net = graph(BoxBias())
    expected = net(local, context, mask, where)
    filled = torch.where(mask[..., None], local, torch.full_like(local, 1e4))
    moved = torch.where(mask[..., None], where, torch.rand_like(where))
    found = net(filled, context, mask, moved)
    torch.testing.assert_close(found[0][mask], expected[0][mask])
    torch.testing.assert_close(found[1], expected[1])


def test_a_batch_of_one_equals_its_row_in_a_batch() -> None:
    local, context, mask = inputs()
    net, where = graph(BoxBias()), boxes(3, 5)
    expected = net(local, context, mask, where)
    for i in range(3):
        one = slice(i, i + 1)
        found = net(local[one], context[one], mask[one], where[one])
        torch.testing.assert_close(found[0], expected[0][one])
        torch.testing.assert_close(found[1], expected[1][one])


def test_words_without_any_real_one_leave_the_context_finite() -> None:
    local, context, mask = inputs()
    positions = torch.arange(5).expand(3, 5)
    found = graph(OffsetBias())(local, context, torch.zeros_like(mask), positions)
    assert torch.isfinite(found[0]).all() and torch.isfinite(found[1]).all()


def test_box_bias_gives_the_context_the_box_of_the_whole_photo() -> None:
    net = BoxBias()
    where = boxes(4)
    where[2] = torch.tensor([0.0, 0.0, 1.0, 1.0])
    bias = net(where)
    assert bias.shape == (1, 5, 5)
    torch.testing.assert_close(bias[0, 0], bias[0, 3])  # node 3 is the region of that same box
    torch.testing.assert_close(bias[0, :, 0], bias[0, :, 3])
    assert not torch.allclose(bias[0, 0], bias[0, 1])


def test_box_bias_is_the_function_of_offset_size_ratio_and_distance() -> None:
    net = BoxBias()
    where = torch.tensor([[0.0, 0.0, 0.5, 0.25], [0.5, 0.5, 1.0, 1.0]])
    towards = torch.tensor([0.5, 0.625, 0.0, torch.tensor(2.0).log(), (0.25 + 0.390625) ** 0.5])
    torch.testing.assert_close(net(where)[0, 1, 2], net.net(towards)[0])


def test_boxes_of_no_area_keep_the_bias_and_its_gradient_finite() -> None:
    where = torch.tensor([[0.3, 0.3, 0.3, 0.3], [0.3, 0.3, 0.3, 0.3], [0.0, 0.2, 1.0, 0.2]])
    where.requires_grad_()
    bias = BoxBias()(where)
    bias.sum().backward()
    assert torch.isfinite(bias).all() and torch.isfinite(where.grad).all()


def test_shared_boxes_equal_the_same_boxes_for_each_photo() -> None:
    local, context, mask = inputs()
    where, net = boxes(5), graph(BoxBias())
    one, each = (net(local, context, mask, b) for b in (where, where.expand(3, 5, 4)))
    torch.testing.assert_close(one[0], each[0])


def test_offset_bias_clips_far_words_and_tells_the_directions_apart() -> None:
    net = OffsetBias()
    nn.init.normal_(net.offset.weight)
    nn.init.normal_(net.context)
    positions = torch.tensor([[0, 1, MAX_OFFSET, MAX_OFFSET + 1, 40]])
    bias = net(positions)[0]
    assert bias.shape == (6, 6)
    assert bias[1, 3] == bias[1, 4] == bias[1, 5] == net.offset.weight[-1, 0]
    assert bias[5, 1] == net.offset.weight[0, 0]
    assert bias[1, 2] == net.offset.weight[MAX_OFFSET + 1, 0]
    assert bias[2, 1] == net.offset.weight[MAX_OFFSET - 1, 0]
    assert (bias[1:, 0] == net.context[0]).all() and (bias[0] == net.context[1]).all()
