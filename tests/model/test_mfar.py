"""MFAR: no exchange at the start, no leak from padding, one set of parameters for both towers."""

import torch
from torch import nn

from hgan.model.mfar import Aggregation, Rearrangement
from tests.fixtures.networks import network


def aggregation(open_up: bool = True) -> Aggregation:
    torch.manual_seed(0)
    made = Aggregation(8)
    if open_up:
        nn.init.normal_(made.up.weight)
        nn.init.normal_(made.down.weight)
    return made


def test_both_towers_hold_literally_the_same_parameters() -> None:
    net = network()
    for part in ("aggregation", "rearrangement"):
        ours, theirs = (getattr(t, part) for t in (net.image_tower, net.text_tower))
        assert ours is theirs
        pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
        assert all(one is other for one, other in pairs)
    apart = {id(p) for p in net.image_tower.node_local.parameters()}
    assert apart.isdisjoint(id(p) for p in net.text_tower.parameters())


def test_branches_begin_apart() -> None:
    local, context, mask = torch.randn(2, 3, 8), torch.randn(2, 8), torch.ones(2, 3).bool()
    same = aggregation(open_up=False)(local, context, mask)
    assert torch.equal(same[0], local) and torch.equal(same[1], context)


def test_information_flows_both_ways_once_open() -> None:
    local, context, mask = torch.randn(1, 3, 8), torch.randn(1, 8), torch.ones(1, 3).bool()
    net = aggregation()
    first = net(local, context, mask)
    up = net(local + torch.randn(1, 3, 8), context, mask)
    assert not torch.allclose(up[1], first[1])
    down = net(local, context + torch.randn(1, 8), mask)
    assert not torch.allclose(down[0], first[0])


def test_aggregation_ignores_padding_and_bears_an_empty_item() -> None:
    local, context = torch.randn(2, 4, 8), torch.randn(2, 8)
    mask = torch.tensor([[False, True, False, True], [False] * 4])
    net = aggregation()
    expected = net(local, context, mask)
    filled = torch.where(mask[..., None], local, torch.full_like(local, 50.0))
    found = net(filled, context, mask)
    torch.testing.assert_close(found[1], expected[1])
    torch.testing.assert_close(found[0][mask], expected[0][mask])
    torch.testing.assert_close(expected[1][1], context[1])  # nothing to gather


def test_slots_are_weighted_means_of_real_nodes_in_anchor_order() -> None:
    torch.manual_seed(0)
    net = Rearrangement(8, 3, 5)
    nodes = torch.randn(2, 4, 8)
    mask = torch.tensor([[True, False, True, False], [False, False, True, False]])
    slots = net(nodes, mask)
    for item in range(2):
        z = net.norm(nodes[item][mask[item]])
        for k in range(3):
            weights = (net.key(z) @ net.anchors[k] / 8**0.5).softmax(0)
            values = z @ net.value[k]  # each slot has a projection of its own
            torch.testing.assert_close(slots[item, k], (weights[:, None] * values).sum(0))
    assert not torch.allclose(slots[1, 0], slots[1, 2])


def test_slots_do_not_depend_on_the_order_of_nodes() -> None:
    net = Rearrangement(8, 3, 5)
    nodes, mask = torch.randn(2, 6, 8), torch.rand(2, 6) < 0.7
    mask[:, 0] = True
    order = torch.randperm(6)
    torch.testing.assert_close(net(nodes[:, order], mask[:, order]), net(nodes, mask))
