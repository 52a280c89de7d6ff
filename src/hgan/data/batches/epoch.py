"""Create the batches of an epoch. They are image-major, B photos with k captions each, so that a
photo is encoded only once for its k captions."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from hgan.config import OptimConfig
from hgan.data.batches.augmentation import Augmenter
from hgan.data.batches.dataset import Dataset, read_images
from hgan.data.batches.types import Batch, TextBatch
from hgan.data.features.mosaics import Mosaics
from hgan.processes import ALONE, Processes

TEXT_PARTS = 4
"""Number of parts into which the captions of a batch are split by length, to reduce padding."""


def training_batches(
    data: Dataset,
    augmenter: Augmenter,
    config: OptimConfig,
    seed: int,
    epoch: int,
    processes: Processes = ALONE,
) -> Iterator[Batch]:
    """The augmented batches of one epoch; they depend only on the seed and the epoch. Of several
    processes, each reads its share of every batch.

    An incomplete last batch is dropped, since it would have fewer negatives.
    """
    order = np.random.default_rng((seed, epoch))
    rng = torch.Generator().manual_seed(seed * 100_003 + epoch)
    mosaics = _mosaics(data, config, epoch)
    images, rows = _order(data, mosaics, epoch, order)
    size = min(config.batch_images, len(images))
    own, own_mosaics = processes.block(size), processes.block(size // 4)
    for start in range(0, len(images) - size + 1, size):
        chosen = images[start : start + size]
        drawn = [_draw(data.captions_of[i], config.captions_per_image, order) for i in chosen]
        views = order.integers(data.store.views, size=size)
        captions = np.concatenate(drawn)
        owner = np.repeat(np.arange(size), [len(d) for d in drawn])
        by_length = np.argsort([len(data.tokens[c]) for c in captions], kind="stable")
        parts = np.array_split(captions[by_length], TEXT_PARTS)
        photos = data.images(chosen[own], views[own])
        photos = augmenter.images(photos, rng, size, own)
        texts = [augmenter.texts(data.texts(part), rng) for part in parts]
        arrived = by_length[_gathered(len(captions), processes)]
        yield Batch(
            images=photos,
            texts=list(_dealt(texts, processes)),
            image_of=torch.from_numpy(owner[arrived]),
            photos=chosen,
            captions=captions[arrived],
            sentences=None if data.sentences is None else data.sentences[captions[arrived]],
            mosaics=None
            if mosaics is None
            else read_images(mosaics.store, rows[start // 4 : (start + size) // 4][own_mosaics]),
        )


def _dealt(parts: Sequence[TextBatch], processes: Processes) -> Iterator[TextBatch]:
    """This process's captions of each part, if there are any."""
    start = 0
    for part in parts:
        own = part.rows(processes.every(start))
        if len(own.ids):
            yield own
        start += len(part.ids)


def _gathered(count: int, processes: Processes) -> np.ndarray:
    """The positions (T) of captions that were dealt to processes, in the order of the processes."""
    step = processes.count
    return np.concatenate([np.arange(first, count, step) for first in range(step)])


def _mosaics(data: Dataset, config: OptimConfig, epoch: int) -> Mosaics | None:
    """The mosaics of the data, in the second half of the epochs: before, they cost recall."""
    return data.mosaics if 2 * epoch >= config.epochs else None


def _order(
    data: Dataset, mosaics: Mosaics | None, epoch: int, order: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The photos of an epoch in random order (N), and the rows of their mosaics (N // 4), if there
    are any: photos of a mosaic are together."""
    if mosaics is None:
        return order.permutation(len(data.rows)), np.empty(0, np.int64)
    number = epoch % len(mosaics.rows)
    groups = order.permutation(mosaics.rows.shape[1])
    return mosaics.photos[number, groups].ravel(), mosaics.rows[number, groups]


def _draw(captions: np.ndarray, count: int, order: np.random.Generator) -> np.ndarray:
    return order.permutation(captions)[:count]
