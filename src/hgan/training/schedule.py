"""The optimiser, and the learning-rate schedule: linear warm-up, then cosine decay to zero or a
single step."""

import math

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from hgan.config import OptimConfig


def make_optimizer(network: nn.Module, criterion: nn.Module, config: OptimConfig) -> AdamW:
    """AdamW with four parameter groups: the text encoder and the backbone's trained layers with
    their own learning rates, the parameters of the loss without weight decay, and all others."""
    named = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
    text = [p for n, p in named if n.startswith("text.")]
    vision = [p for n, p in named if n.startswith("vision.")]
    head = [p for n, p in named if not n.startswith(("text.", "vision."))]
    rate = config.learning_rate
    groups = [
        {"params": head, "lr": rate, "weight_decay": config.weight_decay},
        {"params": text, "lr": rate * config.text_rate, "weight_decay": config.weight_decay},
        {"params": vision, "lr": rate * config.vision_rate, "weight_decay": config.weight_decay},
        {"params": list(criterion.parameters()), "lr": rate, "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]])


def make_schedule(optimizer: AdamW, config: OptimConfig, steps: int) -> LambdaLR:
    """The schedule for a run of this many steps; it multiplies the learning rate of each group."""
    rise = min(config.warmup_steps, max(steps // 4, 1))

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        if config.decay_at:
            return 1.0 if step < config.decay_at * steps else 0.1
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(steps - rise, 1))))

    return LambdaLR(optimizer, factor)
