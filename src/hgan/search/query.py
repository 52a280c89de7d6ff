"""The query: a text, a photo, and texts to avoid, combined into one weighted sum.

S is linear in its levels, so the score of a query of several parts is the weighted sum of the
parts' S, and costs little more than that of one part:

- dense vectors (see `hgan.runtime.similarity`) add up to one dense vector;
- the local level is a sum over words of the best region. A word times a positive number has the
  same best region, so the scaled words of all parts of positive weight make one long query; those
  of negative weight make a second one, which is subtracted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from hgan.encoded import Encoded
from hgan.errors import DataError
from hgan.index.store.contract import Point
from hgan.runtime.bundle import Bundle
from hgan.runtime.images import PhotoSource
from hgan.runtime.similarity import dense

WITHOUT = -0.5
"""Weight of each `Query.without` text. Its absolute value is half the weight of `Query.text`: most
photos do not show what is excluded, and only few of these are relevant."""


@dataclass(frozen=True)
class Query:
    """What to search for; several parts are combined.

    Raises:
        DataError: the query is empty, or `photo_share` is not between 0 and 1.
    """

    text: str = ""
    """What the photo shows."""
    photo: PhotoSource | None = None
    """Find photos like this one."""
    like: str | None = None
    """Find photos like this one of the index, given by its path or its id. The photo itself is not
    among the hits. It is not decoded, because the index contains its vectors."""
    without: tuple[str, ...] = ()
    """What photos should not show; each has the weight `WITHOUT`."""
    photo_share: float = 0.5
    """Weight of the photos if there is also a text, whose weight is 1 - `photo_share`. Without the
    other, photos or text have weight 1."""

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise DataError(
                f"the text of a query must be a str, not {type(self.text).__name__}; search by "
                "photo with Query(photo=...)"
            )
        if not (self.text.strip() or self.photo is not None or self.like):
            besides = " in addition to what they should not show" if self.without else ""
            raise DataError(
                f"the query has no words and no photo; describe what photos should show{besides}, "
                "or add a photo to find similar ones"
            )
        given: object = self.without
        if isinstance(given, str):
            raise DataError(f"without must be a tuple of texts; write without=({given!r},)")
        if not all(text.strip() for text in self.without):
            raise DataError(
                "without has an empty text; describe what photos should not show, or omit it"
            )
        if not 0 <= self.photo_share <= 1:
            raise DataError(f"photo_share must be between 0 and 1, not {self.photo_share}")

    @property
    def weighted_texts(self) -> list[tuple[float, str]]:
        """Weight and text of every text part."""
        texts = [(WITHOUT, text) for text in self.without]
        if self.text.strip():
            texts.insert(0, (1 - self.photo_share if self._photos else 1.0, self.text))
        return texts

    @property
    def photo_weight(self) -> float:
        """Weight of each photo; two photos share the weight of one."""
        return (self.photo_share if self.text.strip() else 1.0) / max(self._photos, 1)

    @property
    def _photos(self) -> int:
        return (self.photo is not None) + bool(self.like)


class Part(NamedTuple):
    """One part of a query: a text or a photo."""

    weight: float
    dense: np.ndarray
    """(E,): the dense vector."""
    local: np.ndarray
    """(w, D_l): the words of a text or the regions of a photo, without padding."""
    is_photo: bool


@dataclass(frozen=True)
class EncodedQuery:
    """A query, encoded for the two stages of a search.

    S is the inner product with `dense`, plus the weight of the local level times (MaxSim of
    `positive` minus MaxSim of `negative`).
    """

    dense: np.ndarray
    """(E,): the weighted sum of the parts' dense vectors."""
    positive: np.ndarray
    """(w, D_l): words of the parts of positive weight, scaled by weight / words of the part."""
    negative: np.ndarray
    """(u, D_l): the same for parts of negative weight, scaled by its absolute value."""
    parts: tuple[Part, ...] = ()
    """The separate parts; the local level needs them for an index of texts."""
    excluded: frozenset[str] = frozenset()
    """Ids of items that are not hits."""

    @classmethod
    def of(cls, parts: Sequence[Part], excluded: Iterable[str] = ()) -> Self:
        """Combine one or more parts."""
        return cls(
            np.array([part.weight * part.dense for part in parts], np.float32).sum(axis=0),
            _scaled([part for part in parts if part.weight >= 0]),
            _scaled([part for part in parts if part.weight < 0]),
            tuple(parts),
            frozenset(excluded),
        )


def encode(
    queries: Sequence[Query], bundle: Bundle, stored: Callable[[str], Point]
) -> list[EncodedQuery]:
    """Encode queries, all of their texts in one batch and all of their photos in another.

    Args:
        queries: the queries.
        bundle: the model.
        stored: returns the item of the index that `Query.like` names, with its local vectors.

    Raises:
        DataError: a text contains no words, or a photo cannot be read.
        BundleError: the bundle is damaged.
    """
    weights = bundle.weights
    texts = list(dict.fromkeys(text for query in queries for _, text in query.weighted_texts))
    of_text = dict(zip(texts, _rows(bundle.encode_texts(texts), weights), strict=True))
    photos = [query.photo for query in queries if query.photo is not None]
    pixels = [bundle.preprocessing.read(photo) for photo in photos]
    of_photos = iter(_rows(bundle.encode_images(pixels), weights))
    encoded = []
    for query in queries:
        parts = [Part(weight, *of_text[text], False) for weight, text in query.weighted_texts]
        if query.photo is not None:
            parts.append(Part(query.photo_weight, *next(of_photos), True))
        excluded = []
        if query.like:
            point = stored(query.like)
            is_photo = not point.entry.text
            parts.append(Part(query.photo_weight, point.dense, point.local, is_photo))
            excluded = [point.entry.id]
        encoded.append(EncodedQuery.of(parts, excluded))
    return encoded


def _rows(
    encoded: Encoded[np.ndarray], weights: Mapping[str, float]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The dense vector (E,) and the local vectors (w, D_l), without padding, of each item."""
    real = zip(encoded.local, encoded.mask, strict=True)
    return [
        (vector, local[mask])
        for vector, (local, mask) in zip(dense(encoded, weights), real, strict=True)
    ]


def _scaled(parts: Sequence[Part]) -> np.ndarray:
    """(w, D_l): local vectors whose MaxSim is the weighted sum of the parts' means over words;
    (0, 0) if there are none."""
    rows = [abs(part.weight) / len(part.local) * part.local for part in parts if part.local.size]
    return np.concatenate(rows, dtype=np.float32) if rows else np.zeros((0, 0), np.float32)
