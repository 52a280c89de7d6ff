"""The type of a batch: features of photos, tokens of captions, and the photo of each caption."""

from dataclasses import dataclass, replace
from typing import overload

import numpy as np
import torch
from torch import Tensor


@overload
def move(tensor: Tensor, device: torch.device) -> Tensor: ...
@overload
def move(tensor: None, device: torch.device) -> None: ...
@overload
def move(tensor: Tensor | None, device: torch.device) -> Tensor | None: ...


def move(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    """A tensor on another device. Copying to a GPU goes on while the processor does other work."""
    if tensor is None or tensor.device == device:
        return tensor
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


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
    """Input of the trained layers of the backbone, see `hgan.vision.backbone.Regions`, if it has
    trained layers"""
    frozen: tuple[Tensor, Tensor] | None = None
    """Regions and context of the frozen backbone, if the others are those of trained layers"""

    @property
    def pretrained(self) -> tuple[Tensor, Tensor]:
        """Regions (B, R, D_v) and context (B, D_v) of the frozen backbone."""
        return self.frozen or (self.regions, self.context)

    def to(self, device: torch.device) -> "ImageBatch":
        """The same batch on another device."""
        boxes, maps = move(self.boxes, device), move(self.maps, device)
        frozen = self.frozen and (move(self.frozen[0], device), move(self.frozen[1], device))
        regions, context = move(self.regions, device), move(self.context, device)
        return ImageBatch(regions, context, move(self.mask, device), boxes, maps, frozen)

    def split(self, size: int) -> "list[ImageBatch]":
        """Batches of at most `size` photos, as views."""
        places = [slice(start, start + size) for start in range(0, len(self.mask), size)]
        shared = self.boxes is None or self.boxes.dim() == 2
        return [
            ImageBatch(
                self.regions[place],
                self.context[place],
                self.mask[place],
                self.boxes if shared or self.boxes is None else self.boxes[place],
                None if self.maps is None else self.maps[place],
                self.frozen and (self.frozen[0][place], self.frozen[1][place]),
            )
            for place in places
        ]


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
        caches = move(self.frozen_cache, device), move(self.pretrained_cache, device)
        return TextBatch(move(self.ids, device), move(self.mask, device), *caches)

    def rows(self, place: slice) -> "TextBatch":
        """Some of the captions, as views."""
        caches = self.frozen_cache, self.pretrained_cache
        return TextBatch(
            self.ids[place],
            self.mask[place],
            *(None if cache is None else cache[place] for cache in caches),
        )

    def split(self, size: int) -> "list[TextBatch]":
        """Batches of at most `size` captions, as views."""
        return [self.rows(slice(i, i + size)) for i in range(0, len(self.ids), size)]


@dataclass(frozen=True)
class Batch:
    """B photos and their T captions.

    Of several processes, each has the inputs of its share of them, in `images`, `texts` and
    `mosaics`. B and T are numbers of the whole batch, in the order of `Processes.gather`.
    """

    images: ImageBatch
    """Photos: of several processes, each has a block of them"""
    texts: list[TextBatch]
    """The captions, sorted by length and split into several parts to reduce padding; several
    processes are dealt captions in this order, so that all have as much to do"""
    image_of: Tensor
    """(T) for each caption, the position of its photo in the batch"""
    photos: np.ndarray
    """(B) their positions in the data set"""
    captions: np.ndarray
    """(T) their positions in the data set"""
    sentences: Tensor | None = None
    """(T, D_t) unit vectors of the captions by the pretrained text encoder, for soft targets"""
    mosaics: ImageBatch | None = None
    """The photos 4m to 4m + 3 as mosaic m, without augmentation, if there are mosaics; of several
    processes, each has a block of them"""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return replace(
            self,
            images=self.images.to(device),
            texts=[part.to(device) for part in self.texts],
            image_of=move(self.image_of, device),
            sentences=move(self.sentences, device),
            mosaics=self.mosaics and self.mosaics.to(device),
        )
