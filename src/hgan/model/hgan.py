"""HGAN, the Hierarchical Graph Alignment Network: two towers into one multi-granularity space.

Guo et al., *HGAN: Hierarchical Graph Alignment Network for Image-Text Retrieval*, IEEE TMM, 2023.
"""

from torch import Tensor, nn

from hgan.config import ModelConfig
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.model.graph import BoxBias, FeatureGraph, OffsetBias
from hgan.model.matcher import Matcher
from hgan.model.mfar import Aggregation, Rearrangement
from hgan.model.similarity import SIMILARITY
from hgan.model.tower import Tower
from hgan.text.encoder import TextEncoder


class HGAN(Matcher):
    """Photos and sentences to `Encoded`, and three levels of similarity.

    Args:
        config: which parts there are, and how wide.
        image_width: D_v, width of the vision backbone's features.
        text: the text encoder, trained with the rest or frozen.
    """

    def __init__(self, config: ModelConfig, image_width: int, text: TextEncoder) -> None:
        super().__init__(config, image_width, text, config.levels)
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

    def encode_image(self, batch: ImageBatch) -> Encoded[Tensor]:
        """Region features to the shared space."""
        return self.image_tower(batch.regions, batch.context, batch.mask, batch.boxes)

    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Tokens to the shared space."""
        token = self.text(batch.ids, batch.mask, batch.frozen_cache)
        # Places of words are counted over real tokens, so that padding anywhere changes nothing.
        places = batch.mask.cumsum(1)
        return self.text_tower(token.states, token.context, token.words, places)

    def levels(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The similarity at each level, (B, T) each."""
        return {name: SIMILARITY[name](images, texts) for name in self.config.levels}
