"""Learning rates over a run: a linear rise, then half a cosine down to zero."""

import math

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from hgan.config import OptimConfig


def make_optimizer(network: nn.Module, criterion: nn.Module, config: OptimConfig) -> AdamW:
    """AdamW in three groups: the text encoder at its own rate, the loss's temperatures without
    decay, the rest."""
    named = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
    text = [p for n, p in named if n.startswith("text.")]
    head = [p for n, p in named if not n.startswith("text.")]
    rate = config.learning_rate
    groups = [
        {"params": head, "lr": rate, "weight_decay": config.weight_decay},
        {"params": text, "lr": rate * config.text_rate, "weight_decay": config.weight_decay},
        {"params": list(criterion.parameters()), "lr": rate, "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]])


def make_schedule(optimizer: AdamW, config: OptimConfig, steps: int) -> LambdaLR:
    """The rate's factor at each of a run's steps."""
    rise = min(config.warmup_steps, max(steps // 4, 1))

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(steps - rise, 1))))

    return LambdaLR(optimizer, factor)
