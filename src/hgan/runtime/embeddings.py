"""Embeddings of photos and texts, and their similarity.

Embeddings are always a batch: a single photo gives embeddings of length one. A batch stores the
level weights and the id of its model, so that embeddings of two models cannot be mixed by mistake.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, SupportsIndex, overload

import numpy as np

from hgan.encoded import Encoded
from hgan.errors import DataError
from hgan.runtime.similarity import Scores, dense, score_levels

Kind = Literal["photos", "texts"]


@dataclass(frozen=True, eq=False, repr=False)
class Embeddings(Encoded[np.ndarray]):
    """N photos or N texts in the shared space, in float32.

    `context` (N, D), `slots` (N, K, D_s), `local` (N, n, D_l) and `mask` (N, n) are described in
    `hgan.encoded.Encoded`. `len(photos)` is N; `photos[0]`, `photos[2:5]` and `photos[[1, 7]]` are
    embeddings of these rows.
    """

    kind: Kind
    """Whether photos or texts were encoded."""
    model: str
    """Id of the model."""
    weights: Mapping[str, float] | None
    """Weight of each level in S; None if only the model itself can compare its embeddings."""

    def __len__(self) -> int:
        return len(self.context)

    def __getitem__(self, rows: SupportsIndex | slice | Sequence[int] | np.ndarray) -> "Embeddings":
        chosen = np.arange(len(self))[rows]  # raises IndexError, as lists do
        chosen = np.atleast_1d(chosen)
        return Embeddings(
            self.context[chosen],
            self.slots[chosen],
            self.local[chosen],
            self.mask[chosen],
            self.kind,
            self.model,
            self.weights,
        )

    def __repr__(self) -> str:
        shapes = ", ".join(
            f"{name} {getattr(self, name).shape}" for name in ("context", "slots", "local")
        )
        kind = self.kind[:-1] if len(self) == 1 else self.kind
        return f"Embeddings({len(self)} {kind}: {shapes})"

    @property
    def dense(self) -> np.ndarray:
        """(N, E) float32: context and slots as one vector per item, for a vector database.

        The inner product of a photo's and a text's vector is the weighted sum of the context level
        and the shared level. The local level is not included; use it for re-ranking.

        Raises:
            DataError: only the model itself can compare its embeddings.
        """
        if self.weights is None:
            raise DataError(_OWN_COMPARISON)
        return dense(self, self.weights)


_OWN_COMPARISON = (
    "this model compares photos and texts with a neural network; use its method "
    "model.similarity(photos, texts)"
)


@overload
def similarity(
    photos: Embeddings, texts: Embeddings, levels: Literal[False] = False
) -> np.ndarray: ...
@overload
def similarity(photos: Embeddings, texts: Embeddings, levels: Literal[True]) -> Scores: ...
@overload
def similarity(photos: Embeddings, texts: Embeddings, levels: bool) -> np.ndarray | Scores: ...


def similarity(photos: Embeddings, texts: Embeddings, levels: bool = False) -> np.ndarray | Scores:
    """The similarity S of every photo and every text: (photos, texts) float32.

    Photos can also be compared with photos, and texts with texts: then rows are the searched items
    and columns are the queries, as in a search of an index.

    Args:
        photos: B photos.
        texts: T texts, encoded by the same model.
        levels: return `Scores`, with each level in addition to the total.

    Raises:
        DataError: texts come before photos, or the two were encoded by different models.
    """
    check_pair(photos, texts)
    if photos.weights is None:
        raise DataError(_OWN_COMPARISON)
    if photos.kind == "texts":
        # The words of the searched sentences take the place of regions, at unit length.
        lengths = np.linalg.norm(photos.local, axis=-1, keepdims=True)
        local = photos.local / np.maximum(lengths, np.finfo(np.float32).tiny)
        scores = score_levels(
            Encoded(photos.context, photos.slots, local, photos.mask), texts, photos.weights
        )
    else:
        scores = score_levels(photos, texts, photos.weights)
    return scores if levels else scores.total


def check_pair(photos: Embeddings, texts: Embeddings) -> None:
    """Check that two batches can be compared.

    Raises:
        DataError: an argument is not `Embeddings`, texts come before photos, or the models differ.
    """
    for given, method in ((photos, "encode_image"), (texts, "encode_text")):
        if not isinstance(given, Embeddings):
            raise DataError(
                f"similarity compares embeddings, not {type(given).__name__}; "
                f"encode with model.{method}(...) first"
            )
    if photos.kind == "texts" and texts.kind == "photos":
        raise DataError("similarity takes photos first, then texts; swap the arguments")
    if photos.model != texts.model:
        raise DataError(
            f"the {photos.kind} were encoded by model {photos.model}, the {texts.kind} by model "
            f"{texts.model}; embeddings of two models cannot be compared"
        )


def concatenate(parts: Sequence[Encoded[np.ndarray]]) -> Encoded[np.ndarray]:
    """Concatenate one or more batches, padded to the longest."""
    longest = max(part.mask.shape[1] for part in parts)
    return Encoded(
        np.concatenate([part.context for part in parts]),
        np.concatenate([part.slots for part in parts]),
        np.concatenate([_pad(part.local, longest) for part in parts]),
        np.concatenate([_pad(part.mask, longest) for part in parts]),
    )


def empty(widths: Mapping[str, int]) -> Encoded[np.ndarray]:
    """A batch of no items, with arrays of the right widths (see `BundleConfig.widths`)."""
    return Encoded(
        np.zeros((0, widths["context"]), np.float32),
        np.zeros((0, widths["slots"], widths["slot"]), np.float32),
        np.zeros((0, 0, widths["local"]), np.float32),
        np.zeros((0, 0), np.bool_),
    )


def _pad(array: np.ndarray, length: int) -> np.ndarray:
    """Pad the second axis with zeros (False) up to `length`."""
    room = [(0, 0), (0, length - array.shape[1])] + [(0, 0)] * (array.ndim - 2)
    return np.pad(array, room)
