"""What is searched for: words, a photo, and what should not be there, as one weighted sum.

S is linear in its levels, so the score of a query of several parts is the sum of the parts' S by
their weights, and costs little more than that of one part:

- dense vectors (see `hgan.runtime.similarity`) add up to one dense vector;
- the local level is a sum over words of the best region. A word times a positive number has the
  same best region, so the words of all parts of positive weight, scaled, make one long query;
  those of negative weight make a second one, which is subtracted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from PIL import Image

from hgan.encoded import Encoded
from hgan.errors import DataError
from hgan.index.store.contract import Point
from hgan.index.store.filter import Filter
from hgan.runtime.bundle import Bundle
from hgan.runtime.images import read_photo, to_pixels
from hgan.runtime.similarity import dense

WITHOUT = -0.5
"""Weight of what should not be there. It is half that of what should be: the photos that lack it
are without number, and few of them are what is looked for."""

PhotoSource = Path | str | bytes | Image.Image
"""A photo file, its bytes, or an image."""


@dataclass(frozen=True)
class Query:
    """What photos should show; parts that are given together count together.

    Raises:
        DataError: nothing is asked for, or the share is not in 0..1.
    """

    text: str = ""
    """What the photo shows."""
    photo: PhotoSource | None = None
    """Find photos like this one."""
    like: str | None = None
    """Find photos like this one of the index, which is named by its path or its id, and is itself
    left out. Nothing is decoded: its vectors are there."""
    without: tuple[str, ...] = ()
    """What photos should not show; each counts `WITHOUT`."""
    photo_share: float = 0.5
    """What photos count beside the text, which counts the rest; alone, either counts 1."""

    def __post_init__(self) -> None:
        if not (self.text.strip() or self.photo is not None or self.like):
            beside = " beside what they should be without" if self.without else ""
            raise DataError(
                f"no words and no photo to search for; say what photos should show{beside}, or "
                "give a photo that they should be like"
            )
        given: object = self.without
        if isinstance(given, str):
            raise DataError(f"without is a tuple of texts; write without=({given!r},)")
        if not all(text.strip() for text in self.without):
            raise DataError("without has an empty text; say what should not be there, or omit it")
        if not 0 <= self.photo_share <= 1:
            raise DataError(f"a photo's share is a number from 0 to 1, not {self.photo_share}")

    @property
    def weighted_texts(self) -> list[tuple[float, str]]:
        """Weight and text of every part in words."""
        texts = [(WITHOUT, text) for text in self.without]
        if self.text.strip():
            texts.insert(0, (1 - self.photo_share if self._photos else 1.0, self.text))
        return texts

    @property
    def photo_weight(self) -> float:
        """Of each photo; two of them share what one has."""
        return (self.photo_share if self.text.strip() else 1.0) / max(self._photos, 1)

    @property
    def _photos(self) -> int:
        return (self.photo is not None) + bool(self.like)


@dataclass(frozen=True)
class Range:
    """Which of the photos that match a query are hits; see `Index.find`."""

    k: int
    offset: int = 0
    where: Filter | None = None
    threshold: float | None = None
    fold: bool = False
    candidates: int | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if self.k < 0 or self.offset < 0:
            raise DataError(f"k and offset count from 0 on; they are {self.k} and {self.offset}")

    @property
    def end(self) -> int:
        """Behind the last hit."""
        return self.offset + self.k


class Part(NamedTuple):
    """One thing that photos are compared with."""

    weight: float
    dense: np.ndarray
    """(E,)"""
    local: np.ndarray
    """(w, D_l): the real words, or a photo's regions."""
    is_photo: bool


@dataclass(frozen=True)
class Encodings:
    """A query as the two stages read it: S is the inner product with `dense`, plus the weight of
    the local level times MaxSim of `wanted` less MaxSim of `unwanted`."""

    dense: np.ndarray
    """(E,): the weighted sum of the parts'."""
    wanted: np.ndarray
    """(w, D_l): words of the parts of positive weight, scaled by weight / words of the part."""
    unwanted: np.ndarray
    """(u, D_l): the same of the parts of negative weight, scaled by the weight's size."""
    parts: tuple[Part, ...] = ()
    """What was added up; where sentences are searched, their local level needs each by itself."""
    left_out: frozenset[str] = frozenset()
    """Ids of items that are no hits."""

    @classmethod
    def of(cls, parts: Sequence[Part], left_out: Iterable[str] = ()) -> Self:
        """Add up the parts, one at least."""
        return cls(
            np.array([part.weight * part.dense for part in parts], np.float32).sum(axis=0),
            _scaled([part for part in parts if part.weight >= 0]),
            _scaled([part for part in parts if part.weight < 0]),
            tuple(parts),
            frozenset(left_out),
        )


def encode(
    queries: Sequence[Query], bundle: Bundle, stored: Callable[[str], Point]
) -> list[Encodings]:
    """Encode queries, all of their texts in one batch and all of their photos in another.

    Args:
        queries: what is searched for.
        bundle: the model.
        stored: finds the item of the index that `Query.like` names, with its local vectors.

    Raises:
        DataError: a text has no words in it, or a photo cannot be read.
        BundleError: the bundle is damaged.
    """
    weights, size = bundle.config.weights, bundle.config.size
    texts = list(dict.fromkeys(text for query in queries for _, text in query.weighted_texts))
    of_text = dict(zip(texts, _rows(bundle.encode_texts(texts), weights), strict=True))
    photos = [query.photo for query in queries if query.photo is not None]
    pixels = [to_pixels(read_photo(photo, hint=size), size) for photo in photos]
    of_photos = iter(_rows(bundle.encode_images(pixels), weights))
    encoded = []
    for query in queries:
        parts = [Part(weight, *of_text[text], False) for weight, text in query.weighted_texts]
        if query.photo is not None:
            parts.append(Part(query.photo_weight, *next(of_photos), True))
        left_out = []
        if query.like:
            point = stored(query.like)
            is_photo = not point.entry.text
            parts.append(Part(query.photo_weight, point.dense, point.local, is_photo))
            left_out = [point.entry.id]
        encoded.append(Encodings.of(parts, left_out))
    return encoded


def _rows(
    encoded: Encoded[np.ndarray], weights: Mapping[str, float]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The dense vector (E,) and the real local ones (w, D_l) of each item."""
    real = zip(encoded.local, encoded.mask, strict=True)
    return [
        (vector, local[mask])
        for vector, (local, mask) in zip(dense(encoded, weights), real, strict=True)
    ]


def _scaled(parts: Sequence[Part]) -> np.ndarray:
    """(w, D_l): the local vectors of parts, whose MaxSim is the weighted sum of the parts' means
    over words; (0, 0) without any."""
    rows = [abs(part.weight) / len(part.local) * part.local for part in parts if part.local.size]
    return np.concatenate(rows, dtype=np.float32) if rows else np.zeros((0, 0), np.float32)
