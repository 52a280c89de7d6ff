"""Evaluate a bundle: ONNX Runtime encodes photos and captions, NumPy compares them.

So a dual encoder such as CLIP is measured by the same protocols as a trained checkpoint.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hgan.data.captions.types import Captions
from hgan.encoded import Encoded
from hgan.evaluation.scoring import Member
from hgan.model.encoding import take
from hgan.runtime.bundle import Bundle
from hgan.runtime.embeddings import Embeddings
from hgan.runtime.similarity import score_levels


class BundleComparer:
    """Compares what a bundle has encoded, with the interface of a matcher.

    Attributes:
        weights: the weight of each level in S.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.weights = {level: bundle.weights[level] for level in bundle.levels}
        self._all = bundle.weights

    def levels(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The similarity at each level, (B, T) float32 each."""
        scores = score_levels(_to_numpy(images), _to_numpy(texts), self._all)
        return {name: torch.from_numpy(level) for name, level in scores.levels.items()}


def bundle_member(bundle: Bundle, captions: Captions, photos: Path) -> Member:
    """Encode the photos and captions of a split.

    Captions that are equal for the model are encoded once: in different batches, rounding could
    make their encodings differ in the last bit, which would break ties that are in the data.

    Args:
        bundle: the model.
        captions: the split.
        photos: the folder of the photos.

    Raises:
        DataError: a photo cannot be read.
    """
    images = bundle.encode_image([photos / name for name in captions.images])
    read = [bundle.ids([text])[0].tobytes() for text in captions.texts]
    first = dict(zip(reversed(read), reversed(captions.texts), strict=True))
    place = {tokens: row for row, tokens in enumerate(first)}
    texts = _to_torch(bundle.encode_text(list(first.values())))
    rows = torch.tensor([place[tokens] for tokens in read])
    return Member(BundleComparer(bundle), _to_torch(images), take(texts, rows))


def _to_torch(embeddings: Embeddings) -> Encoded[Tensor]:
    arrays = (embeddings.context, embeddings.slots, embeddings.local, embeddings.mask)
    return Encoded(*map(torch.from_numpy, arrays))


def _to_numpy(encoded: Encoded[Tensor]) -> Encoded[np.ndarray]:
    tensors = (encoded.context, encoded.slots, encoded.local, encoded.mask)
    return Encoded(*(tensor.numpy() for tensor in tensors))
