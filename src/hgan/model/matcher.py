"""The interface of a matcher: it encodes photos and sentences, and compares them at each level."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from hgan.config import Section
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.errors import DataError
from hgan.model.encoding import concatenate
from hgan.model.registry import Registry
from hgan.text.encoder import TextEncoder
from hgan.vision.backbone import Blocks


@dataclass
class MatcherConfig(Section):
    """Base class for the settings of a matcher; `name` of a subclass is the matcher's name."""

    section = "model"

    name: str
    """Name of the matcher; the other keys depend on it."""


class Matcher(nn.Module, ABC):
    """Base class of HGAN and its baselines, which are trained, evaluated and saved in the same way.

    Photos and sentences are encoded separately, so that each is encoded only once; computations on
    pairs belong in `compare`. A subclass registers itself with `@MATCHERS.register`.

    Attributes:
        Config: the dataclass of its settings.
        title: its name for display.
        source: its paper, as one sentence.
        level_names: names of its levels of similarity.
        losses: names of the losses that it may be trained with, if the method is a loss; else none.
        uses_mosaics: whether it is trained with mosaics, see `hgan.training.mosaics`.
        has_prior: whether it has a similarity before it is trained.
        optional_levels: names of levels that S may be without, since it started without them.
        temperatures: temperatures of scores that are not those of the loss at the start, by name.
        vision: the layers of the backbone that are trained; None if the backbone is frozen.

    Args:
        config: its settings.
        image_width: D_v, width of the vision backbone's features.
        text: the text encoder, which can be frozen.
        levels: names of its levels of similarity, if they depend on the settings.
    """

    Config: ClassVar[type[MatcherConfig]]
    title: ClassVar[str]
    source: ClassVar[str]
    level_names: tuple[str, ...] = ()
    losses: ClassVar[tuple[str, ...]] = ()
    uses_mosaics: bool = False
    has_prior: bool = False
    optional_levels: frozenset[str] = frozenset()
    temperatures: Mapping[str, float] = MappingProxyType({})
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
        self.vision: Blocks | None = None

    @abstractmethod
    def encode_image(self, batch: ImageBatch) -> Encoded[Tensor]:
        """Encode the features of photos for `compare`, in float32 also under autocast."""

    @abstractmethod
    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Encode the tokens of captions for `compare`, in float32 also under autocast."""

    @abstractmethod
    def compare(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The similarity at each level, (B, T) each; the score of a pair depends only on it."""

    def encode_photos(self, batch: ImageBatch) -> Encoded[Tensor]:
        """Encode photos: run the backbone's trained layers, if there are any, and `encode_image`.

        Raises:
            DataError: layers are trained, but the batch does not contain their input.
        """
        if self.vision is None:
            return self.encode_image(batch)
        if batch.maps is None:
            raise DataError(
                "this model has trained layers of the backbone, but the features do not contain "
                "their input; extract them with the model's vision.trainable_layers"
            )
        regions, context, _ = self.vision(batch.maps)
        frozen = batch.regions, batch.context
        return self.encode_image(
            replace(batch, regions=regions, context=context, maps=None, frozen=frozen)
        )

    def describe_parts(self) -> dict[str, str]:
        """The parts of the matcher that its settings choose, for the model card."""
        return {}

    def levels(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The similarity at each level, (B, T) float32 each, in training and in evaluation.

        Autocast is disabled here: in bfloat16, many different scores would become equal.
        """
        with torch.autocast(images.context.device.type, enabled=False):
            return self.compare(images, texts)

    def encode_texts(self, batches: Sequence[TextBatch]) -> Encoded[Tensor]:
        """Encode several batches, each padded to its own longest caption, and concatenate them."""
        return concatenate([self.encode_text(batch) for batch in batches])

    def similarity(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
        """S, the weighted sum of the levels, (B, T)."""
        return combine(self.levels(images, texts), self.weights)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each level in S. Weights are positive, sum to one, and are chosen on the
        validation split."""
        return dict(zip(self.level_names, self.level_weights.tolist(), strict=True))

    def set_weights(self, weights: dict[str, float]) -> None:
        """Set the weight of each level in S."""
        self.level_weights.copy_(torch.tensor([weights[name] for name in self.level_names]))


MATCHERS: Registry[Matcher] = Registry("model")
"""All matchers that have been imported; `hgan.model.matchers` imports the built-in ones."""


def combine(levels: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """S, the weighted sum of the levels' scores, (B, T); equation 16 of docs/model.md."""
    return torch.stack([weights[name] * scores for name, scores in levels.items()]).sum(0)
