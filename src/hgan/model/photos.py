"""Encode decoded photos with a backbone and a matcher: the network that is used and exported."""

import torch
from torch import Tensor

from hgan.data.batches.types import ImageBatch
from hgan.encoded import Encoded
from hgan.model.matcher import Matcher
from hgan.vision.backbone import Backbone


def encode_photos(
    backbone: Backbone, network: Matcher, pixels: Tensor, boxes: Tensor | None
) -> Encoded[Tensor]:
    """Encode photos (B, size, size, 3) uint8; boxes (R, 4) are those of the backbone's regions."""
    seen = backbone(pixels)
    mask = torch.ones(seen.regions.shape[:2], dtype=torch.bool, device=pixels.device)
    return network.encode_photos(ImageBatch(seen.regions, seen.context, mask, boxes, seen.maps))
