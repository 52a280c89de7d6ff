"""The contract of a loss, and the objective: a loss on each level and on their weighted sum.

A loss gets scores of B photos and T captions. Captions of one photo are never each other's
negatives.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hgan.config import Section
from hgan.encoded import TOTAL
from hgan.model.registry import Registry


@dataclass
class LossConfig(Section):
    """A loss's settings; each loss has a subclass with its own, and its name as default."""

    section = "loss"

    name: str
    """Which loss; the other keys are its own settings."""


class Loss(nn.Module, ABC):
    """A loss; its parameters, if it has any, are trained without weight decay.

    A subclass registers itself with `@LOSSES.register`.

    Attributes:
        Config: the dataclass of its settings.
        remedy: what may help when training has collapsed.

    Args:
        config: its settings.
        names: of the scores that it will be given: the levels and, where there are several, S.
    """

    Config: ClassVar[type[LossConfig]]
    remedy: ClassVar[str] = "lower optim.learning_rate"

    def __init__(self, config: LossConfig, names: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.names = tuple(names)

    @abstractmethod
    def forward(self, name: str, scores: Tensor, image_of: Tensor) -> Tensor:
        """The loss of one kind of score, a scalar.

        Args:
            name: of the score.
            scores: (B, T).
            image_of: (T) the photo of each caption.
        """

    @abstractmethod
    def chance_level(self, images: int, texts: float) -> float:
        """The loss of a model that gives every pair the same score.

        Args:
            images: photos in a batch, B.
            texts: their captions on average, T.
        """

    def start_epoch(self, epoch: int) -> None:
        """Called before each epoch, counted from 0; a loss that changes over a run does so here."""

    def after_step(self) -> None:
        """Called after each step of the optimiser; bounds on parameters are applied here."""


LOSSES: Registry[Loss] = Registry("loss")
"""Every loss whose file has been imported; `hgan.training.losses` imports all built-in ones."""


def build_loss(config: LossConfig, levels: Sequence[str]) -> Loss:
    """The loss that a configuration names, for scores of these levels and their sum.

    Raises:
        ConfigError: no loss of that name is registered.
    """
    names = [*levels, TOTAL] if len(levels) > 1 else levels
    return LOSSES.find(config.name)(config, names)


def own_captions(image_of: Tensor, images: int) -> Tensor:
    """(B, T) bool: True where a caption is the photo's own."""
    return image_of == torch.arange(images, device=image_of.device)[:, None]


def objective(
    loss: nn.Module, levels: dict[str, Tensor], total: Tensor, image_of: Tensor
) -> Tensor:
    """The mean of the loss over the levels and, where there are several, over S."""
    scores = dict(levels)
    if len(levels) > 1:
        scores[TOTAL] = total
    return torch.stack([loss(name, matrix, image_of) for name, matrix in scores.items()]).mean()
