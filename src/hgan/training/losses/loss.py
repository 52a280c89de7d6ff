"""The interface of a loss, and the training objective: its mean over the levels and their sum.

A loss gets scores of B photos and T captions. Captions of the same photo are not negatives of each
other.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hgan.config import Section
from hgan.encoded import TOTAL
from hgan.model.registry import Registry


@dataclass
class LossConfig(Section):
    """Base class for the settings of a loss; `name` of a subclass is the loss's name."""

    section = "loss"

    name: str
    """Name of the loss; the other keys depend on it."""


class Loss(nn.Module, ABC):
    """Base class of losses. Parameters of a loss are trained without weight decay.

    A subclass registers itself with `@LOSSES.register`.

    Attributes:
        Config: the dataclass of its settings.
        remedy: what can help if training has collapsed.

    Args:
        config: its settings.
        names: names of the scores it will get: the levels and, if there are several, S.
    """

    Config: ClassVar[type[LossConfig]]
    remedy: ClassVar[str] = "lower optim.learning_rate"

    def __init__(self, config: LossConfig, names: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.names = tuple(names)

    @abstractmethod
    def forward(self, name: str, scores: Tensor, image_of: Tensor) -> Tensor:
        """The loss, a scalar, of the scores of one level or of S.

        Args:
            name: name of the level, or S.
            scores: (B, T).
            image_of: (T) the photo of each caption.
        """

    @abstractmethod
    def chance_level(self, images: int, texts: float) -> float:
        """The loss of a model that gives every pair the same score.

        Args:
            images: B, number of photos in a batch.
            texts: T, average number of captions in a batch.
        """

    def start_from(self, temperatures: Mapping[str, float]) -> None:
        """Start with these temperatures of scores, by their names; for losses that have any."""

    def start_epoch(self, epoch: int) -> None:
        """Called before each epoch (counted from 0), for losses that change during training."""

    def after_step(self) -> None:
        """Called after each step of the optimiser, for losses with bounded parameters."""


LOSSES: Registry[Loss] = Registry("loss")
"""All losses that have been imported; `hgan.training.losses` imports the built-in ones."""


def build_loss(config: LossConfig, levels: Sequence[str]) -> Loss:
    """Build the loss of a configuration, for the scores of these levels and their sum.

    Raises:
        ConfigError: no loss with that name is registered.
    """
    names = [*levels, TOTAL] if len(levels) > 1 else levels
    return LOSSES.find(config.name)(config, names)


def own_captions(image_of: Tensor, images: int) -> Tensor:
    """(B, T) bool: True where the caption belongs to the photo."""
    return image_of == torch.arange(images, device=image_of.device)[:, None]


def objective(
    loss: nn.Module,
    levels: dict[str, Tensor],
    total: Tensor,
    image_of: Tensor,
    alike: Tensor | None = None,
) -> Tensor:
    """The mean of the loss over the levels and, if there are several, S.

    A loss with soft targets also gets the cosines of the captions (T, T) by a pretrained encoder.
    """
    scores = dict(levels)
    if len(levels) > 1:
        scores[TOTAL] = total
    given = () if alike is None else (alike,)
    losses = [loss(name, matrix, image_of, *given) for name, matrix in scores.items()]
    return torch.stack(losses).mean()
