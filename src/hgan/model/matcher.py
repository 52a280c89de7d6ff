"""The contract of a matcher: photos and sentences to `Encoded`, and their similarities by level."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hgan.config import Section
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.model.encoding import concatenate
from hgan.model.registry import Registry
from hgan.text.encoder import TextEncoder


@dataclass
class MatcherConfig(Section):
    """A matcher's settings; each matcher has a subclass with its own, and its name as default."""

    section = "model"

    name: str
    """Which matcher; the other keys are its own settings."""


class Matcher(nn.Module, ABC):
    """HGAN and the methods it is compared with: all train, evaluate and save in the same way.

    Photos and sentences are encoded separately, so that each is encoded once; what looks at both
    together belongs to `compare`. A subclass registers itself with `@MATCHERS.register`.

    Attributes:
        Config: the dataclass of its settings.
        title: what people call it.
        source: the paper that it comes from, as one sentence.
        level_names: names of its similarities.

    Args:
        config: its settings.
        image_width: D_v, width of the vision backbone's features.
        text: the text encoder, trained with the rest or frozen.
        levels: names of its similarities, where they depend on the settings.
    """

    Config: ClassVar[type[MatcherConfig]]
    title: ClassVar[str]
    source: ClassVar[str]
    level_names: tuple[str, ...] = ()
    level_weights: Tensor

    def __init__(
        self,
        config: MatcherConfig,
        image_width: int,
        text: TextEncoder,
        levels: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.image_width = image_width
        self.text = text
        if levels is not None:
            self.level_names = tuple(levels)
        count = len(self.level_names)
        self.register_buffer("level_weights", torch.ones(count) / count)

    @abstractmethod
    def encode_image(self, batch: ImageBatch) -> Encoded[Tensor]:
        """Region features to what `compare` reads, float32 also under autocast."""

    @abstractmethod
    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Tokens to what `compare` reads, float32 also under autocast."""

    @abstractmethod
    def compare(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The similarity at each level, (B, T) each: a pair's score depends on that pair alone."""

    def describe_parts(self) -> dict[str, str]:
        """What the matcher consists of where its settings leave a choice, for the model card."""
        return {}

    def levels(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The similarity at each level, (B, T) float32 each, in training as in evaluation.

        Never under autocast: bfloat16 has so few digits that many different scores become equal.
        """
        with torch.autocast(images.context.device.type, enabled=False):
            return self.compare(images, texts)

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


MATCHERS: Registry[Matcher] = Registry("model")
"""Every matcher whose file has been imported; `hgan.model.matchers` imports all built-in ones."""


def combine(levels: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """S, the weighted sum of the levels' scores, (B, T); equation 16 of docs/model.md."""
    return torch.stack([weights[name] * scores for name, scores in levels.items()]).sum(0)
