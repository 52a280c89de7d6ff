"""The interface of text encoders: from the token ids of a batch of sentences to token states."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hgan.errors import ConfigError


class TokenStates(NamedTuple):
    """Output of a text encoder for a batch of sentences."""

    states: Tensor
    """(T, W, D_t)"""
    context: Tensor
    """(T, D_t): mean over the tokens of each sentence, without padding; (T, P): its embedding by a
    dual encoder."""
    words: Tensor
    """(T, W) bool: True for words, False for special tokens and padding."""
    pretrained: Tensor | None = None
    """(T, W, D_t) states of the pretrained encoder, if it is kept beside the trained one."""


class TextEncoder(nn.Module, ABC):
    """Base class of text encoders.

    Attributes:
        mask_id: id of the token that replaces a masked word; None if the encoder knows no such
            token, so that words are left out instead.
        context_width: P, width of the context if it is an embedding of a dual encoder; 0 if it is
            the mean of states.
        special_ids: (S) ids of tokens that are not words.
        frozen_layers: number of frozen layers, from the bottom, whose output can be cached; None if
            no layer is frozen.
        pretrained_head: a linear map of the trained states that estimates the pretrained ones, in
            place of the pretrained layers; see `hgan.export.distill`.
    """

    special_ids: Tensor
    keeps_pretrained: bool = False
    """Whether the pretrained layers are kept beside the trained ones, see `keep_pretrained`."""
    context_width: int = 0

    def __init__(self, special_ids: list[int], mask_id: int | None) -> None:
        super().__init__()
        self.mask_id = mask_id
        self.frozen_layers: int | None = None
        self.pretrained_head: nn.Linear | None = None
        self.register_buffer("special_ids", torch.tensor(special_ids), persistent=False)

    @property
    @abstractmethod
    def width(self) -> int:
        """D_t, width of a token state."""

    @abstractmethod
    def encode(self, ids: Tensor, mask: Tensor, frozen_cache: Tensor | None) -> Tensor:
        """States (T, W, D_t) of token ids (T, W) with mask (T, W).

        Args:
            frozen_cache: (T, W, D_t) states after the frozen layers for these ids, if cached.
        """

    @abstractmethod
    def freeze(self, trainable_layers: int | None) -> None:
        """Train only the top layers; None trains everything, including the embeddings.

        Raises:
            ConfigError: the encoder has fewer layers, or no list of layers.
        """

    @abstractmethod
    def pretrained_states(
        self, ids: Tensor, mask: Tensor, layers: int | None, frozen_cache: Tensor | None = None
    ) -> Tensor:
        """States (T, W, D_t) after the embeddings and this many pretrained layers, all for None.
        Layers that are trained must be kept for it, see `keep_pretrained`.

        Args:
            frozen_cache: (T, W, D_t) states after the frozen layers for these ids, if known.
        """

    def keep_pretrained(self, trainable_layers: int | None) -> None:
        """Keep a copy of the layers to be trained as they are now, for `TokenStates.pretrained`.

        Raises:
            ConfigError: the encoder is not pretrained.
        """
        raise ConfigError(
            "model.prior: the text encoder is not pretrained, so it has no sentence space; choose "
            "a pretrained text.encoder, or model.prior none"
        )

    def states_of_layers(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """States (T, W, D_t) after each layer, the first of them before all layers, the last those
        of `encode`. An encoder without a list of layers has the last ones alone."""
        return [self.encode(ids, mask, None)]

    def replace_pretrained(self, head: nn.Linear) -> None:
        """Use a linear map of `states_of_layers` side by side in place of the pretrained layers."""
        self.keeps_pretrained, self.pretrained_head = False, head

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The architecture as JSON values, for `build_encoder`; `model_type` is its type."""

    def forward(
        self,
        ids: Tensor,
        mask: Tensor,
        frozen_cache: Tensor | None = None,
        pretrained_cache: Tensor | None = None,
    ) -> TokenStates:
        """Encode token ids (T, W) with mask (T, W), nonzero for tokens, zero for padding.

        Args:
            frozen_cache: (T, W, D_t) states after the frozen layers for these ids, if cached.
            pretrained_cache: (T, W, D_t) states of the pretrained encoder, if cached.
        """
        pretrained = pretrained_cache
        if pretrained is None and self.keeps_pretrained:
            if frozen_cache is None and self.frozen_layers is not None:
                # Both encoders have the frozen layers, so that they are computed only once.
                frozen_cache = self.pretrained_states(ids, mask, self.frozen_layers)
            pretrained = self.pretrained_states(ids, mask, None, frozen_cache)
        if self.pretrained_head is not None:
            layers = self.states_of_layers(ids, mask)
            states, pretrained = layers[-1], self.pretrained_head(torch.cat(layers, dim=-1))
        else:
            states = self.encode(ids, mask, frozen_cache)
        real = mask.bool()
        weight = real[..., None].to(states.dtype)
        context = (states * weight).sum(1) / weight.sum(1).clamp_min(1)
        return TokenStates(states, context, self.is_word(ids, mask), pretrained)

    def is_word(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Which tokens (T, W) are words, neither special tokens nor padding."""
        return mask.bool() & ~(ids[..., None] == self.special_ids).any(-1)


def check_trainable(wanted: int, layers: int) -> None:
    """Raise `ConfigError` if more layers are to be trained than an encoder has."""
    if wanted > layers:
        raise ConfigError(
            f"text.trainable_layers: {wanted}, but the encoder has only {layers} layers"
        )
