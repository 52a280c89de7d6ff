"""Create the batches of an epoch. They are image-major, B photos with k captions each, so that a
photo is encoded only once for its k captions."""

from collections.abc import Iterator

import numpy as np
import torch

from hgan.config import OptimConfig
from hgan.data.batches.augmentation import Augmenter
from hgan.data.batches.dataset import Dataset
from hgan.data.batches.types import Batch

TEXT_PARTS = 4
"""Number of parts into which the captions of a batch are split by length, to reduce padding."""


def training_batches(
    data: Dataset, augmenter: Augmenter, config: OptimConfig, seed: int, epoch: int
) -> Iterator[Batch]:
    """The augmented batches of one epoch; they depend only on the seed and the epoch.

    An incomplete last batch is dropped, since it would have fewer negatives.
    """
    order = np.random.default_rng((seed, epoch))
    rng = torch.Generator().manual_seed(seed * 100_003 + epoch)
    images = order.permutation(len(data.rows))
    size = min(config.batch_images, len(images))
    for start in range(0, len(images) - size + 1, size):
        chosen = images[start : start + size]
        drawn = [_draw(data.captions_of[i], config.captions_per_image, order) for i in chosen]
        views = order.integers(data.store.views, size=size)
        captions = np.concatenate(drawn)
        owner = np.repeat(np.arange(size), [len(d) for d in drawn])
        by_length = np.argsort([len(data.tokens[c]) for c in captions], kind="stable")
        parts = np.array_split(captions[by_length], TEXT_PARTS)
        yield Batch(
            images=augmenter.images(data.images(chosen, views), rng),
            texts=[augmenter.texts(data.texts(part), rng) for part in parts],
            image_of=torch.from_numpy(owner[by_length]),
            sentences=None if data.sentences is None else data.sentences[captions[by_length]],
        )


def _draw(captions: np.ndarray, count: int, order: np.random.Generator) -> np.ndarray:
    return order.permutation(captions)[:count]
