"""The vision tower of a dual encoder as a backbone: patches are regions, the embedding the context.

Photos are prepared by the model's own image processor, so that the context is the embedding that
the model itself gives them.
"""

from typing import Any

import torch
from torch import Tensor, nn

from hgan.dual_encoders.load import (
    embedding_width,
    family_of,
    keep_vision,
    load_image_processor,
    load_model,
)
from hgan.dual_encoders.processor import read_processor
from hgan.errors import ConfigError
from hgan.hub import HubModel
from hgan.vision.backbone import Regions, pool
from hgan.vision.transformer import LayeredBackbone, Top, patch_map


class DualEncoderBackbone(LayeredBackbone):
    """A backbone whose feature map is the last hidden state of a dual encoder's vision tower, and
    whose context is the photo's embedding, of another width.

    Args:
        name: a name on the Hugging Face hub, or a folder written by `save_pretrained`.
        grid: number of regions along each side; patches are averaged over each region.
        trainable_layers: number of last layers that a matcher trains, None for all.

    Raises:
        ConfigError: the model is not a supported dual encoder, cannot be loaded, or does not have
            so many layers.
        DataError: there is no such model.
    """

    def __init__(self, name: str, grid: int = 6, trainable_layers: int | None = 0) -> None:
        source = HubModel.find(name)
        family_of(source, "set vision.dual_encoder to false to take regions alone from this model")
        processor = read_processor(source.source, load_image_processor(source))
        net = load_model(source)
        super().__init__(processor.mean, processor.std)
        self.name, self.grid = name, grid
        self.own_preprocessing = processor.preprocessing
        self.size = processor.preprocessing.size
        self.context_width = embedding_width(name, net.config)
        self.net = keep_vision(net)
        config = net.config.vision_config
        self._side = self.size // int(config.patch_size)
        self.width = int(config.hidden_size)
        self._probe()
        tower: Any = self.net.get_submodule("vision_model")
        self.use_layers(tower, {}, trainable_layers)

    def whole(self, pixels: Tensor) -> Regions:
        """Features by the frozen network, from normalised pixels (B, 3, size, size)."""
        found = self.net.get_image_features(pixel_values=pixels)  # type: ignore[operator]
        regions = pool(patch_map(found.last_hidden_state, self._side), self.grid).regions
        return Regions(regions, found.pooler_output)

    def top(self, norm: nn.Module) -> nn.Module:
        """From the tokens after the last layer to `Regions`; the context is the embedding."""
        return EmbeddingTop(self.net, norm, self._side, self.grid)

    @torch.inference_mode()
    def _probe(self) -> None:
        """Run the model once, so that an unsuitable model fails here."""
        try:
            self(torch.zeros(1, self.size, self.size, 3, dtype=torch.uint8))
        except (RuntimeError, ValueError, TypeError) as error:
            raise ConfigError(
                f"vision.backbone: {self.name} cannot read the photos that its own image "
                f"processor makes, of {self.size} x {self.size} pixels ({error})"
            ) from error


class EmbeddingTop(nn.Module):
    """Regions of the tokens after the last layer, and the embedding of the whole photo."""

    def __init__(self, net: nn.Module, norm: nn.Module, side: int, grid: int) -> None:
        super().__init__()
        tower = net.get_submodule("vision_model")
        self.regions = Top(norm, side, grid)
        self.norm = tower.get_submodule("post_layernorm")
        self.head = getattr(tower, "head", None)  # of SigLIP; CLIP has a projection
        self.projection = getattr(net, "visual_projection", None)

    def forward(self, tokens: Tensor) -> Regions:
        """Features of tokens (B, extra + side * side, D_v); the context is the embedding (B, P)."""
        regions = self.regions(tokens).regions
        if self.head is not None:
            return Regions(regions, self.head(self.norm(tokens)))
        assert self.projection is not None
        return Regions(regions, self.projection(self.norm(tokens[:, 0])))
