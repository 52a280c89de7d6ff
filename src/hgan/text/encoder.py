"""What every text encoder is: tokens of a batch of sentences to their states."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class TokenStates(NamedTuple):
    """What an encoder says of a batch of sentences."""

    states: Tensor
    """(T, W, D_t)"""
    context: Tensor
    """(T, D_t): the whole sentence, the mean over its real tokens."""
    words: Tensor
    """(T, W) bool: real tokens that are words, not markers of the ends or padding."""


class TextEncoder(nn.Module, ABC):
    """A text encoder, and the ids of the tokens that are no words.

    Attributes:
        mask_id: the token that stands for a hidden word.
        special_ids: (S) tokens that are no words.
        frozen_layers: layers from the bottom that are not trained, whose states can be computed
            once a run; None where nothing is frozen.
    """

    special_ids: Tensor

    def __init__(self, special_ids: list[int], mask_id: int) -> None:
        super().__init__()
        self.mask_id = mask_id
        self.frozen_layers: int | None = None
        self.register_buffer("special_ids", torch.tensor(special_ids), persistent=False)

    @property
    @abstractmethod
    def width(self) -> int:
        """D_t."""

    @abstractmethod
    def encode(self, ids: Tensor, mask: Tensor, states: Tensor | None) -> Tensor:
        """States (T, W, D_t) of token ids (T, W) with mask (T, W), from frozen states if given."""

    @abstractmethod
    def freeze(self, trainable_layers: int | None) -> None:
        """Train only the top layers; None trains all, embeddings included.

        Raises:
            ConfigError: the encoder has fewer layers, or none that can be told apart.
        """

    @abstractmethod
    def frozen_states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """States (T, W, D_t) after the embeddings and the frozen layers: computed once a run."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What `build_encoder` makes the same encoder of, as JSON; `model_type` names its kind."""

    def forward(self, ids: Tensor, mask: Tensor, states: Tensor | None = None) -> TokenStates:
        """Token ids (T, W) and mask (T, W), nonzero where a token is real.

        Args:
            states: (T, W, D_t) what `frozen_states` gave for these ids, to start from.
        """
        states = self.encode(ids, mask, states)
        real = mask.bool()
        weight = real[..., None].to(states.dtype)
        context = (states * weight).sum(1) / weight.sum(1).clamp_min(1)
        special = (ids[..., None] == self.special_ids).any(-1)
        return TokenStates(states, context, real & ~special)
