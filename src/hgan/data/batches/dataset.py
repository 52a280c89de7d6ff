"""A data set for training or evaluation: tokenised captions, and the features of their photos."""

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from hgan.data.batches.frozen_cache import cached_states
from hgan.data.batches.tokens import pad, tokenise
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.data.captions.types import Captions
from hgan.data.features.mosaics import Mosaics
from hgan.data.features.types import Features
from hgan.errors import DataError
from hgan.text.encoder import TextEncoder


class Dataset:
    """Captions, tokenised once, and the features of their photos.

    Attributes:
        captions: N photos and their T captions.
        store: the features.
        rows: (N) the row of each photo in the store.
        captions_of: for each photo, the positions of its captions.
        tokens: the token ids (W) of each caption.
        frozen_cache: for each caption, the output (W, D_t) of the text encoder's frozen layers;
            None before `cache_frozen_states`, or if it would be too large.
        pretrained_cache: the same for the states of the pretrained encoder, if it is kept.
        sentences: (T, D_t) unit vectors of the captions; None before `embed_sentences`.
        mosaics: mosaics of the photos, if a model is trained with them.

    Raises:
        DataError: photos of the captions are not in the store.
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
        self.tokens = tokenise(tokenizer, captions.texts, max_words)
        self.frozen_cache: list[Tensor] | None = None
        self.pretrained_cache: list[Tensor] | None = None
        self.sentences: Tensor | None = None
        self.mosaics: Mosaics | None = None

    def images(
        self, positions: Sequence[int] | np.ndarray, views: np.ndarray | int = 0
    ) -> ImageBatch:
        """A batch of the photos at these positions (B), with the features of one view (B) each."""
        return read_images(self.store, self.rows[np.asarray(positions)], views)

    def texts(self, positions: Sequence[int] | np.ndarray) -> TextBatch:
        """A batch of the captions at these positions, with their frozen cache if there is one."""
        batch = pad([self.tokens[p] for p in positions])
        return TextBatch(
            batch.ids,
            batch.mask,
            _padded(self.frozen_cache, positions),
            _padded(self.pretrained_cache, positions),
        )

    def cache_frozen_states(
        self, encoder: TextEncoder, dtype: torch.dtype = torch.bfloat16
    ) -> None:
        """Compute the output of the encoder's frozen layers once, if there are any, and the states
        of the pretrained encoder, if it is kept. As float32, evaluation gives the same results with
        them as without."""
        if encoder.frozen_layers is not None:
            self.frozen_cache = cached_states(encoder, self.tokens, encoder.frozen_layers, dtype)
        if encoder.keeps_pretrained:
            is_trained = any(weight.requires_grad for weight in encoder.parameters())
            same = None if is_trained else self.frozen_cache
            self.pretrained_cache = same or cached_states(encoder, self.tokens, None, dtype)

    def embed_sentences(self, encoder: TextEncoder) -> None:
        """Compute the unit vector of each caption once: the mean of its states by the pretrained
        encoder, before it is trained."""
        states = self.pretrained_cache or cached_states(encoder, self.tokens, None)
        if states is None:
            raise DataError(
                f"{len(self.tokens)} captions are too many for soft targets; set "
                "loss.soft_temperature to 0"
            )
        means = torch.stack([rows.float().mean(0) for rows in states])
        self.sentences = torch.nn.functional.normalize(means, dim=-1)


def read_images(store: Features, rows: np.ndarray, views: np.ndarray | int = 0) -> ImageBatch:
    """A batch of these rows (B) of a store, with the features of one view (B) each."""
    found = store.read(rows, np.broadcast_to(views, rows.shape))
    return ImageBatch(
        regions=torch.from_numpy(found.regions),
        context=torch.from_numpy(found.context),
        mask=torch.from_numpy(found.mask),
        boxes=None if found.boxes is None else torch.from_numpy(found.boxes),
        maps=None if found.maps is None else torch.from_numpy(found.maps),
    )


def _padded(cache: list[Tensor] | None, positions: Sequence[int] | np.ndarray) -> Tensor | None:
    """States of the captions at these positions as one float32 batch, padded with zeros."""
    if cache is None:
        return None
    rows = [cache[p] for p in positions]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).float()
