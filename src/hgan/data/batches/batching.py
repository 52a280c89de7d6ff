"""Image-major batches: a batch is B photos with k captions each, so a photo is encoded once for k
captions. Augmentation (views, dropped regions, dropped words) happens here, from one seed an epoch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from hgan.config import OptimConfig
from hgan.data.batches.frozen_cache import frozen_states
from hgan.data.batches.tokens import TextBatch, pad, tokenise
from hgan.data.captions.types import Captions
from hgan.data.features.types import Features
from hgan.errors import DataError
from hgan.text.encoder import TextEncoder

TEXT_PARTS = 4
"""Parts that a batch's captions are encoded in, by length."""
FIRST_WORD = 1000
"""Where a vocabulary's words begin if, as BERT's, it has more than its special tokens before."""


@dataclass(frozen=True)
class ImageBatch:
    """Features of B photos."""

    regions: Tensor
    """(B, R, D_v)"""
    context: Tensor
    """(B, D_v)"""
    mask: Tensor
    """(B, R) bool"""
    boxes: Tensor | None
    """(R, 4) or (B, R, 4), x0 y0 x1 y1 in 0..1; None where they are not known"""

    def to(self, device: torch.device) -> "ImageBatch":
        """The same on another device."""
        boxes = None if self.boxes is None else self.boxes.to(device)
        regions, context = self.regions.to(device), self.context.to(device)
        return ImageBatch(regions, context, self.mask.to(device), boxes)


@dataclass(frozen=True)
class Batch:
    """Photos and their captions."""

    images: ImageBatch
    texts: list[TextBatch]
    """The captions by length, in several parts, so that little is padded."""
    image_of: Tensor
    """(T) the photo of each caption, its position in the batch; in the order of the captions"""


class Dataset:
    """Captions, tokenised once, and the features of their photos.

    Raises:
        DataError: photos of the captions are absent from the store.
    """

    def __init__(
        self, captions: Captions, store: Features, tokenizer: Tokenizer, max_words: int
    ) -> None:
        missing = [image for image in captions.images if image not in store.rows]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(captions.images)} photos have no features, the first is "
                f"{missing[0]}; run `hgan extract` with this config, or see `hgan data check`"
            )
        self.captions, self.store = captions, store
        self.rows = np.array([store.rows[image] for image in captions.images])
        self.captions_of = captions.of_image()
        self.states: list[Tensor] | None = None
        self.tokens = tokenise(tokenizer, captions.texts, max_words)

    def images(
        self, positions: Sequence[int] | np.ndarray, views: np.ndarray | int = 0
    ) -> ImageBatch:
        """Features of the photos at these positions, of a view each."""
        rows = self.rows[np.asarray(positions)]
        found = self.store.read(rows, np.broadcast_to(views, rows.shape))
        return ImageBatch(
            regions=torch.from_numpy(found.regions),
            context=torch.from_numpy(found.context),
            mask=torch.from_numpy(found.mask),
            boxes=None if found.boxes is None else torch.from_numpy(found.boxes),
        )

    def texts(self, positions: Sequence[int] | np.ndarray) -> TextBatch:
        """Tokens of the captions at these positions, and their frozen states where kept."""
        batch = pad([self.tokens[p] for p in positions])
        if self.states is None:
            return batch
        rows = [self.states[p] for p in positions]
        states = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return TextBatch(batch.ids, batch.mask, states.float())

    def keep_states(self, encoder: TextEncoder) -> None:
        """Compute what the encoder's frozen layers say of the captions ahead, where that fits."""
        if encoder.frozen_layers is not None:
            self.states = frozen_states(encoder, self.tokens)


@dataclass(frozen=True)
class Augmenter:
    """Size augmentation (Chen et al., CVPR 2021): regions and words are left out or masked, never
    all of them."""

    region_drop: float
    word_drop: float
    mask_id: int
    special_ids: Tensor
    vocabulary: int

    def images(self, batch: ImageBatch, dice: torch.Generator) -> ImageBatch:
        """Leave regions out."""
        keep = torch.rand(batch.mask.shape, generator=dice) >= self.region_drop
        mask = _never_all(batch.mask & keep, batch.mask)
        return ImageBatch(batch.regions, batch.context, mask, batch.boxes)

    def texts(self, batch: TextBatch, dice: torch.Generator) -> TextBatch:
        """Of the words drawn, mask half, swap a tenth for a random one, leave the rest out.

        Where frozen states are at hand, the words behind them can only be left out.
        """
        words = batch.mask.bool() & ~(batch.ids[..., None] == self.special_ids).any(-1)
        chance = torch.rand(batch.ids.shape, generator=dice)
        drawn = words & (chance < self.word_drop)
        if batch.states is not None:
            kept = _never_all(words & ~drawn, words)
            return TextBatch(batch.ids, (batch.mask.bool() & (~words | kept)).long(), batch.states)
        kind = torch.rand(batch.ids.shape, generator=dice)
        other = torch.randint(
            self._first_word(), self.vocabulary, batch.ids.shape, generator=dice
        )
        ids = torch.where(drawn & (kind < 0.5), self.mask_id, batch.ids)
        ids = torch.where(drawn & (kind >= 0.5) & (kind < 0.6), other, ids)
        kept = _never_all(words & ~(drawn & (kind >= 0.6)), words)
        return TextBatch(ids, (batch.mask.bool() & (~words | kept)).long())

    def _first_word(self) -> int:
        """The least id that is a word for sure: the next, where specials and mask come first."""
        special = sorted({*self.special_ids.tolist(), self.mask_id})
        if special == list(range(len(special))):
            return min(len(special), self.vocabulary - 1)
        return min(FIRST_WORD, self.vocabulary // 2)


def _never_all(kept: Tensor, real: Tensor) -> Tensor:
    """Where nothing was kept of a row, keep all of it."""
    return torch.where(kept.any(-1, keepdim=True), kept, real)


def training_batches(
    data: Dataset, augmenter: Augmenter, config: OptimConfig, seed: int, epoch: int
) -> Iterator[Batch]:
    """One epoch of image-major batches, the same for the same seed and epoch.

    The last, smaller batch is left out: contrast needs its negatives.
    """
    order = np.random.default_rng((seed, epoch))
    dice = torch.Generator().manual_seed(seed * 100_003 + epoch)
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
            images=augmenter.images(data.images(chosen, views), dice),
            texts=[augmenter.texts(data.texts(part), dice) for part in parts],
            image_of=torch.from_numpy(owner[by_length]),
        )


def _draw(captions: np.ndarray, count: int, order: np.random.Generator) -> np.ndarray:
    return order.permutation(captions)[:count]
