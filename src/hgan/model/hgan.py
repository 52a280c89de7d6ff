"""HGAN, the Hierarchical Graph Alignment Network: two towers into one multi-granularity space.

Guo et al., *HGAN: Hierarchical Graph Alignment Network for Image-Text Retrieval*, IEEE TMM, 2023.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hgan.config import ModelConfig
from hgan.data.batching import ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.model.encoding import concatenate
from hgan.model.graph import BoxBias, FeatureGraph, OffsetBias
from hgan.model.mfar import Aggregation, Rearrangement
from hgan.model.similarity import SIMILARITY, combine
from hgan.model.tower import Tower
from hgan.text.encoder import TextEncoder


class HGAN(nn.Module):
    """Photos and sentences to `Encoded`, and the similarity of the two.

    Args:
        config: which parts there are, and how wide.
        image_width: D_v, width of the vision backbone's features.
        text: the text encoder, trained with the rest or frozen.
    """

    level_weights: Tensor

    def __init__(self, config: ModelConfig, image_width: int, text: TextEncoder) -> None:
        super().__init__()
        self.config = config
        self.image_width = image_width
        self.text = text
        node, drop = config.node_width, config.dropout
        aggregation = Aggregation(node) if config.mfar else None
        rearrangement = None
        if "shared" in config.levels:
            rearrangement = Rearrangement(config.width, config.slots, config.slot_width)

        def graph(on: bool, bias: nn.Module) -> FeatureGraph | None:
            return FeatureGraph(node, config.graph_layers, drop, bias) if on else None

        image_graph = graph(config.image_graph, BoxBias())
        text_graph = graph(config.text_graph, OffsetBias())
        # The same MFAR modules go into both towers: their parameters are shared.
        self.image_tower = Tower(image_width, config, image_graph, aggregation, rearrangement)
        self.text_tower = Tower(
            text.width, config, text_graph, aggregation, rearrangement, weigh=True
        )
        self.register_buffer("level_weights", torch.ones(len(config.levels)) / len(config.levels))

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each level in S; positive, summing to one, chosen on validation."""
        values = self.level_weights.tolist()
        return dict(zip(self.config.levels, values, strict=True))

    def set_weights(self, weights: dict[str, float]) -> None:
        """Set the weight of each level in S."""
        self.level_weights.copy_(torch.tensor([weights[name] for name in self.config.levels]))

    def encode_image(self, batch: ImageBatch) -> Encoded[Tensor]:
        """Region features to the shared space."""
        return self.image_tower(batch.regions, batch.context, batch.mask, batch.boxes)

    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Tokens to the shared space."""
        token = self.text(batch.ids, batch.mask, batch.states)
        # Places of words are counted over real tokens, so that padding anywhere changes nothing.
        places = batch.mask.cumsum(1)
        return self.text_tower(token.states, token.context, token.words, places)

    def encode_texts(self, batches: Sequence[TextBatch]) -> Encoded[Tensor]:
        """Several batches, each padded to its own longest caption, as one."""
        return concatenate([self.encode_text(batch) for batch in batches])

    def levels(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The similarity at each level, (B, T) each."""
        return {name: SIMILARITY[name](images, texts) for name in self.config.levels}

    def similarity(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
        """S, the weighted sum of the levels, (B, T)."""
        return combine(self.levels(images, texts), self.weights)
