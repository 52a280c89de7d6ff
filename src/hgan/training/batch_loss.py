"""The loss of a batch: encode photos and captions, compare them, and compute the objective.

All of it at once or in chunks, in one process or several: the loss and its gradients are the same.
Shapes: B photos and T captions in the batch, b photos of this process.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from hgan.config import OptimConfig
from hgan.data.batches.types import Batch, ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.model.encoding import gather
from hgan.model.matcher import Matcher, combine
from hgan.processes import Processes
from hgan.training.grad_cache import cached_levels, cached_photos, cached_texts
from hgan.training.losses.loss import objective
from hgan.training.mosaics import WEIGHT, mosaic_loss


class BatchLoss:
    """Computes the loss of batches for a network and a criterion.

    Args:
        network: the matcher in training.
        criterion: the loss of scores.
        config: `chunk_images` and `captions_per_image` are the sizes of chunks.
        processes: the processes that share each batch.
        autocast: the precision in which photos and captions are encoded.
    """

    def __init__(
        self,
        network: Matcher,
        criterion: nn.Module,
        config: OptimConfig,
        processes: Processes,
        autocast: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.network, self.criterion = network, criterion
        self.processes, self.autocast = processes, autocast
        self._photos = config.chunk_images
        self._captions = (config.chunk_images or 0) * config.captions_per_image

    def __call__(self, batch: Batch) -> Tensor:
        """The loss of the whole batch, a scalar, of which each process has its part of the
        gradients; see `average_gradients`."""
        with self.autocast():
            images, own = self._encode_photos(batch.images), self._encode_texts(batch.texts)
        texts = gather(own, self.processes)  # T captions
        levels = self._levels(images, texts)
        total = combine(levels, self.network.weights)
        alike = None if batch.sentences is None else batch.sentences @ batch.sentences.T  # (T, T)
        loss = objective(self.criterion, levels, total, batch.image_of, alike)
        if batch.mosaics is not None:
            with self.autocast():
                mosaics = self._encode_photos(batch.mosaics)
            mosaics = gather(mosaics, self.processes)
            loss = loss + WEIGHT * mosaic_loss(mosaics, texts, batch.image_of)
        return loss

    def _encode_photos(self, batch: ImageBatch) -> Encoded[Tensor]:
        if self._photos is None or len(batch.mask) <= self._photos:
            return self.network.encode_photos(batch)
        return cached_photos(self.network, batch, self._photos)

    def _encode_texts(self, batches: list[TextBatch]) -> Encoded[Tensor]:
        if self._photos is None or sum(len(part.ids) for part in batches) <= self._captions:
            return self.network.encode_texts(batches)
        return cached_texts(self.network, batches, self._captions)

    def _levels(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """Scores (B, T) of each level: this process scores its b photos."""
        if self._photos is None or len(texts.mask) <= self._captions:
            levels = self.network.levels(images, texts)
        else:
            levels = cached_levels(self.network, images, texts, self._photos, self._captions)
        if self.processes.count == 1:
            return levels
        own = torch.stack(list(levels.values()), dim=1)  # (b, L, T)
        return dict(zip(levels, self.processes.gather(own).unbind(1), strict=True))
