"""What every matcher is: photos and sentences to `Encoded`, and their similarities by level."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hgan.config import ModelConfig
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.model.encoding import concatenate
from hgan.model.similarity import combine
from hgan.text.encoder import TextEncoder


class Matcher(nn.Module, ABC):
    """HGAN and the methods it is compared with: all train, evaluate and save in the same way.

    Photos and sentences are encoded apart, so that each is encoded once; whatever looks at both
    together belongs to `levels`.

    Args:
        config: which model, and its parts.
        image_width: D_v, width of the vision backbone's features.
        text: the text encoder, trained with the rest or frozen.
        levels: names of the model's similarities.
    """

    level_weights: Tensor

    def __init__(
        self, config: ModelConfig, image_width: int, text: TextEncoder, levels: Sequence[str]
    ) -> None:
        super().__init__()
        self.config = config
        self.image_width = image_width
        self.text = text
        self.level_names = tuple(levels)
        self.register_buffer("level_weights", torch.ones(len(levels)) / len(levels))

    @abstractmethod
    def encode_image(self, batch: ImageBatch) -> Encoded[Tensor]:
        """Region features to what `levels` compares."""

    @abstractmethod
    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Tokens to what `levels` compares."""

    @abstractmethod
    def levels(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The similarity at each level, (B, T) each: a pair's depends on that pair alone."""

    def encode_texts(self, batches: Sequence[TextBatch]) -> Encoded[Tensor]:
        """Several batches, each padded to its own longest caption, as one."""
        return concatenate([self.encode_text(batch) for batch in batches])

    def similarity(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
        """S, the weighted sum of the levels, (B, T)."""
        return combine(self.levels(images, texts), self.weights)

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each level in S; positive, summing to one, chosen on validation."""
        return dict(zip(self.level_names, self.level_weights.tolist(), strict=True))

    def set_weights(self, weights: dict[str, float]) -> None:
        """Set the weight of each level in S."""
        self.level_weights.copy_(torch.tensor([weights[name] for name in self.level_names]))
