"""A backbone and a matcher as one network, from decoded photos on: what is used and exported."""

import torch
from torch import Tensor

from hgan.config import VisionConfig
from hgan.data.batches.types import ImageBatch
from hgan.encoded import Encoded
from hgan.model.matcher import Matcher
from hgan.vision.backbone import Backbone
from hgan.vision.load import backbone_of


def backbone_for(network: Matcher, vision: VisionConfig) -> Backbone:
    """The backbone of a model, whose frozen layers compute only what the model reads: beside the
    input of trained layers, features of the frozen network are for a prior alone.

    Raises:
        ConfigError: see `hgan.vision.load.load_backbone`.
    """
    backbone = backbone_of(vision)
    backbone.needs_frozen = network.has_prior
    return backbone


def encode_photos(
    backbone: Backbone, network: Matcher, pixels: Tensor, boxes: Tensor | None
) -> Encoded[Tensor]:
    """Encode photos (B, size, size, 3) uint8; boxes (R, 4) are those of the backbone's regions."""
    seen = backbone(pixels)
    mask = torch.ones(seen.regions.shape[:2], dtype=torch.bool, device=pixels.device)
    return network.encode_photos(ImageBatch(seen.regions, seen.context, mask, boxes, seen.maps))
