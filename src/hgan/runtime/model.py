"""The interface of a model, whether ONNX Runtime or torch runs it: encode, compare, explain.

`hgan.Bundle` and `hgan.HGAN` implement the abstract methods. The methods for users are implemented
here once, so that both accept the same inputs and return the same types.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, overload

import numpy as np

from hgan.chunks import chunks
from hgan.encoded import LEVELS, Encoded
from hgan.errors import ConfigError, DataError
from hgan.progress import Bar
from hgan.progress import progress as progress_bar
from hgan.runtime.embeddings import Embeddings, concatenate, empty, similarity
from hgan.runtime.explain import Explanation, take_apart
from hgan.runtime.images import PhotoSource, read_photo
from hgan.runtime.inputs import Photos, Texts, is_one_photo, photos_of, texts_of
from hgan.runtime.patches import PatchGrid, PatchMap
from hgan.runtime.preprocessing import Preprocessing
from hgan.runtime.similarity import Scores, dense_width
from hgan.runtime.stream import stream

IMAGE_BATCH = 8
"""Default batch size for photos; on CPUs, a small batch fits into the caches."""
TEXT_BATCH = 32
"""Default batch size for texts."""
BAR_FROM = 64
"""Number of photos or texts above which a progress bar is shown on a terminal."""


class Model(ABC):
    """Encodes photos and texts into one space, and compares them."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the model."""

    @property
    @abstractmethod
    def id(self) -> str:
        """Id of the model, which depends on its weights. Embeddings of models with different ids
        cannot be compared."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Side of the square photo that the model reads, in pixels."""

    @property
    @abstractmethod
    def boxes(self) -> list[list[float]]:
        """(R, 4): each region's x0 y0 x1 y1 in 0..1."""

    @property
    @abstractmethod
    def weights(self) -> Mapping[str, float] | None:
        """Weight of each level in S; zero for a level that the model does not have. None if the
        model compares photos and texts in another way."""

    @property
    @abstractmethod
    def widths(self) -> Mapping[str, int]:
        """`context` D, `slots` K, `slot` D_s and `local` D_l; zero for a missing level."""

    @abstractmethod
    def encode_images(
        self, pixels: Sequence[np.ndarray] | np.ndarray, batch_size: int = IMAGE_BATCH
    ) -> Encoded[np.ndarray]:
        """Encode decoded photos, each (size, size, 3) uint8; `encode_image` takes other inputs."""

    @abstractmethod
    def encode_texts(
        self, texts: Sequence[str], batch_size: int = TEXT_BATCH
    ) -> Encoded[np.ndarray]:
        """Encode texts in this order; see `encode_text`."""

    @abstractmethod
    def words(self, text: str) -> list[tuple[int, int] | None]:
        """Start and end of each token's word in a text, in the order of `Encoded.local`."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How the model wants its photos."""
        return Preprocessing(self.size)

    @property
    def image_batch(self) -> int:
        """Number of photos that are best encoded together."""
        return IMAGE_BATCH

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of texts that the model understands, such as `en`; empty if unknown."""
        return ()

    @property
    def logits(self) -> Mapping[str, float] | None:
        """`scale` and `bias` of a model that was trained to give the probability that a photo and a
        text match, the sigmoid of scale * S + bias; None for other models."""
        return None

    @property
    def patches(self) -> PatchGrid | None:
        """The patches of a photo, if the model can give vectors of them for explanations, as dual
        encoders can; None for other models."""
        return None

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels of similarity that the model has, from coarse to fine."""
        weights = self.weights or {}
        return tuple(level for level in LEVELS if weights.get(level))

    @property
    def dimension(self) -> int:
        """E, the width of `Embeddings.dense`."""
        return dense_width(self.widths, self.weights) if self.weights else 0

    def encode_with_patches(
        self, pixels: np.ndarray
    ) -> tuple[Encoded[np.ndarray], np.ndarray | None]:
        """Encode one decoded photo (size, size, 3) uint8, and its `patches` as (P, D) rows of
        length one, which can be compared with contexts of texts; None for a model without."""
        return self.encode_images([pixels]), None

    def encode_image(
        self, images: Photos, *, batch_size: int | None = None, progress: bool | None = None
    ) -> Embeddings:
        """Encode photos; they are decoded in threads while the model runs.

        Args:
            images: a path, bytes, a PIL image of any mode, a uint8 array (height, width, 3), or
                any number of these in a list, an iterator or an array (N, height, width, 3).
            batch_size: number of photos that are encoded together; by default `image_batch`.
            progress: whether to show a progress bar; by default on a terminal, for more than 64.

        Returns:
            Embeddings of N photos in the given order; N = 1 for one photo.

        Raises:
            DataError: a photo cannot be read; the message says which one.
            BundleError: the model is damaged.
        """
        batch_size = self.image_batch if batch_size is None else batch_size
        _check_batch_size(batch_size)
        preprocessing, single = self.preprocessing, is_one_photo(images)
        photos = enumerate(photos_of(images))

        def load(item: tuple[int, PhotoSource]) -> np.ndarray:  # (size, size, 3)
            return preprocessing.read(item[1])

        parts = []
        with _bar("encode", images, "photos", progress) as bar:
            for batch in stream(photos, load, batch_size):
                for (position, _), error in batch.failed:
                    raise error if single else DataError(f"photo {position}: {error}")
                if batch.arrays:
                    parts.append(self.encode_images(batch.arrays, batch_size))
                if bar is not None:
                    bar.advance(len(batch.items))
        encoded = concatenate(parts) if parts else empty(self.widths)
        return self._embeddings(encoded, "photos")

    def encode_text(
        self, texts: Texts, *, batch_size: int = TEXT_BATCH, progress: bool | None = None
    ) -> Embeddings:
        """Encode texts in any script; texts longer than the model reads are truncated.

        Args:
            texts: one text, or any number of them in a list or an iterator.
            batch_size: number of texts that are encoded together.
            progress: whether to show a progress bar; by default on a terminal, for more than 64.

        Returns:
            Embeddings of N texts in the given order; N = 1 for one text.

        Raises:
            DataError: a text is not a string, or contains no words.
            BundleError: the model is damaged.
        """
        _check_batch_size(batch_size)
        sentences = texts_of(texts)
        # Texts of similar length are encoded together, so that there is little padding.
        order = np.argsort([len(sentence) for sentence in sentences], kind="stable")
        parts = []
        with _bar("encode", sentences, "texts", progress) as bar:
            for chosen in chunks(order, batch_size):
                batch = [sentences[i] for i in chosen]
                parts.append(self.encode_texts(batch, batch_size))
                if bar is not None:
                    bar.advance(len(batch))
        if not parts:
            return self._embeddings(empty(self.widths), "texts")
        return self._embeddings(concatenate(parts), "texts")[np.argsort(order, kind="stable")]

    @overload
    def similarity(
        self, photos: Embeddings, texts: Embeddings, levels: Literal[False] = False
    ) -> np.ndarray: ...
    @overload
    def similarity(
        self, photos: Embeddings, texts: Embeddings, levels: Literal[True]
    ) -> Scores: ...

    def similarity(
        self, photos: Embeddings, texts: Embeddings, levels: bool = False
    ) -> np.ndarray | Scores:
        """The similarity S of every photo and every text, (photos, texts); see `hgan.similarity`.

        Raises:
            DataError: texts come before photos, or the two were encoded by different models.
        """
        return similarity(photos, texts, levels)

    def explain(self, photo: PhotoSource, text: str) -> Explanation:
        """Explain the similarity of a photo to a text by levels and words.

        Args:
            photo: a path, bytes, a PIL image or a uint8 array.
            text: one text.

        Raises:
            DataError: the photo cannot be read, or the text contains no words.
            ConfigError: the model has none of the levels that can be explained.
            BundleError: the model is damaged.
        """
        if self.weights is None:
            raise ConfigError(f"{self.name}: only HGAN can explain its similarities")
        if not isinstance(text, str):
            raise DataError(f"explain takes one text, not {type(text).__name__}")
        if not is_one_photo(photo):
            raise DataError("explain takes one photo; call it once for each photo")
        text = text.encode("utf-8", "replace").decode()  # as the tokenizer reads it
        sentence = self.encode_texts([text])
        decoded = read_photo(photo, hint=self.preprocessing.hint)
        image, vectors = self.encode_with_patches(self.preprocessing.pixels(decoded))
        spans = self.words(text) if self.weights["local"] else []
        boxes, patches = self.boxes, None
        if self.patches is not None and vectors is not None:
            boxes = self.patches.boxes(self.size)
            patches = PatchMap.of(vectors, sentence.context[0], self.patches.source)
        boxes = self.preprocessing.places(boxes, decoded) if boxes else []
        return take_apart(image, sentence, text, spans, self.weights, boxes, self.logits, patches)

    def __repr__(self) -> str:
        weights = self.weights or {}
        levels = ", ".join(f"{level} {weights[level]:.2f}" for level in self.levels)
        kind = type(self).__name__
        return f"{kind}({self.name!r}, id={self.id!r}, levels: {levels or 'its own'})"

    def _embeddings(
        self, encoded: Encoded[np.ndarray], kind: Literal["photos", "texts"]
    ) -> Embeddings:
        return Embeddings(
            encoded.context.astype(np.float32, copy=False),
            encoded.slots.astype(np.float32, copy=False),
            encoded.local.astype(np.float32, copy=False),
            encoded.mask,
            kind,
            self.id,
            self.weights,
        )


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1, not {batch_size}")


def _bar(
    what: str, items: object, unit: str, show: bool | None
) -> AbstractContextManager[Bar | None]:
    """A progress bar, if `show` is True, or if it is None and there are many items."""
    total = len(items) if isinstance(items, Sized) else None
    if show is None:
        show = total is not None and total > BAR_FROM and not isinstance(items, str | bytes)
    return progress_bar(what, total, unit) if show else nullcontext()
