"""Learning rates over a run, and which parameters have which rate."""

import itertools

import pytest
import torch
from torch import nn

from hgan.config import OptimConfig
from hgan.training.losses.infonce import InfoNCE, InfoNCEConfig
from hgan.training.schedule import make_optimizer, make_schedule
from tests.fixtures.networks import network


def rates(config: OptimConfig, steps: int) -> list[float]:
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make_schedule(optimizer, config, steps)
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return [*found, schedule.get_last_lr()[0]]


def test_the_rate_rises_then_falls_to_zero() -> None:
    found = rates(OptimConfig(warmup_steps=10), 100)
    assert found[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert found[10] == pytest.approx(1.0) and found[55] == pytest.approx(0.5)
    assert all(a > b for a, b in itertools.pairwise(found[10:]))
    assert found[-1] == pytest.approx(0.0)


def test_the_rate_falls_to_a_tenth_at_once_as_in_the_papers() -> None:
    found = rates(OptimConfig(warmup_steps=0, decay_at=0.6), 25)
    assert found == pytest.approx([1.0] * 15 + [0.1] * 11)


def test_a_short_run_warms_up_for_at_most_a_quarter() -> None:
    found = rates(OptimConfig(warmup_steps=50), 8)
    assert found[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert rates(OptimConfig(warmup_steps=50), 1)[0] == 1.0


def test_groups_of_the_optimizer() -> None:
    net = network()
    net.text.freeze(1)
    criterion = InfoNCE(InfoNCEConfig(), ["S"])
    config = OptimConfig(learning_rate=0.1, text_rate=0.2, weight_decay=0.3)
    head, text, temperature = make_optimizer(net, criterion, config).param_groups
    assert (head["lr"], text["lr"], temperature["lr"]) == pytest.approx((0.1, 0.02, 0.1))
    assert (head["weight_decay"], temperature["weight_decay"]) == (0.3, 0.0)
    trained = [p for p in net.parameters() if p.requires_grad]
    together = [*head["params"], *text["params"]]
    assert len(together) == len({id(p) for p in together}) == len(trained)
    assert len(text["params"]) == len(list(net.text.transformer.encoder.layer[1].parameters()))


def test_a_frozen_encoder_makes_no_group() -> None:
    net = network()
    net.text.freeze(0)
    groups = make_optimizer(net, InfoNCE(InfoNCEConfig(), ["S"]), OptimConfig()).param_groups
    assert len(groups) == 2
