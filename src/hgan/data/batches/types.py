"""The type of a batch: features of photos, tokens of captions, and the photo of each caption."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class ImageBatch:
    """Features of B photos."""

    regions: Tensor
    """(B, R, D_v)"""
    context: Tensor
    """(B, D_v)"""
    mask: Tensor
    """(B, R) bool, False for padding"""
    boxes: Tensor | None
    """(R, 4) or (B, R, 4), x0 y0 x1 y1 in 0..1; None if they are unknown"""
    maps: Tensor | None = None
    """(B, C, h, w) input of the trained blocks of the backbone, if it has trained blocks"""
    frozen: tuple[Tensor, Tensor] | None = None
    """Regions and context of the frozen backbone, if the others are those of trained blocks"""

    @property
    def pretrained(self) -> tuple[Tensor, Tensor]:
        """Regions (B, R, D_v) and context (B, D_v) of the frozen backbone."""
        return self.frozen or (self.regions, self.context)

    def to(self, device: torch.device) -> "ImageBatch":
        """The same batch on another device."""
        boxes = None if self.boxes is None else self.boxes.to(device)
        maps = None if self.maps is None else self.maps.to(device)
        regions, context = self.regions.to(device), self.context.to(device)
        frozen = self.frozen and (self.frozen[0].to(device), self.frozen[1].to(device))
        return ImageBatch(regions, context, self.mask.to(device), boxes, maps, frozen)


@dataclass(frozen=True)
class TextBatch:
    """Tokens of T captions, padded to the longest."""

    ids: Tensor
    """(T, W) int64"""
    mask: Tensor
    """(T, W) int64, 1 for tokens, 0 for padding"""
    frozen_cache: Tensor | None = None
    """(T, W, D_t) cached output of the text encoder's frozen layers, if there is a cache"""
    pretrained_cache: Tensor | None = None
    """(T, W, D_t) cached states of the pretrained encoder, if there is a cache"""

    def to(self, device: torch.device) -> "TextBatch":
        """The same batch on another device."""
        caches = (self.frozen_cache, self.pretrained_cache)
        moved = (None if cache is None else cache.to(device) for cache in caches)
        return TextBatch(self.ids.to(device), self.mask.to(device), *moved)


@dataclass(frozen=True)
class Batch:
    """B photos and their T captions."""

    images: ImageBatch
    texts: list[TextBatch]
    """The captions, sorted by length and split into several parts to reduce padding"""
    image_of: Tensor
    """(T) for each caption, the position of its photo in the batch"""
    photos: np.ndarray
    """(B) their positions in the data set"""
    captions: np.ndarray
    """(T) their positions in the data set"""
    sentences: Tensor | None = None
    """(T, D_t) unit vectors of the captions by the pretrained text encoder, for soft targets"""
    mosaics: ImageBatch | None = None
    """The photos 4m to 4m + 3 as mosaic m, without augmentation, if there are mosaics"""
