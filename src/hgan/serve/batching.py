"""Text queries that arrive at the same time are encoded as one batch.

The thread that arrives first encodes for all: it waits for the previous batch to finish, then
encodes everything that has arrived by then. A single query does not wait; under load, batches
become larger without any setting.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np

from hgan.encoded import Encoded
from hgan.runtime.bundle import Bundle
from hgan.runtime.inputs import texts_of
from hgan.runtime.model import IMAGE_BATCH, TEXT_BATCH
from hgan.serve.stopping import stop_if_unwanted


@dataclass
class _Request:
    texts: Sequence[str]
    tokens: int
    """Tokens of the longest text."""
    encoded: "Future[Encoded[np.ndarray]]" = field(default_factory=Future)


class BatchingBundle(Bundle):
    """A bundle for many threads that encode one or two texts each."""

    def __init__(self, bundle: Bundle, observe: Callable[[int], Any] = lambda _texts: None) -> None:
        """Wrap a bundle.

        Args:
            bundle: encodes the batches.
            observe: called with the number of texts in each batch, before it is encoded.
        """
        super().__init__(bundle.folder, bundle.config, bundle.id)
        self._bundle = bundle
        self._observe = observe
        self._waiting: list[_Request] = []
        self._changing = Lock()
        self._encoding = Lock()

    def encode_texts(
        self, texts: Sequence[str], batch_size: int = TEXT_BATCH
    ) -> Encoded[np.ndarray]:
        """Encode sentences in one batch with those of other threads; see `Bundle.encode_texts`."""
        texts = texts_of(texts)
        if not texts:
            return self._bundle.encode_texts(texts)
        # A text without words raises here, before it could make the whole batch fail.
        mine = _Request(texts, max(len(self._bundle.words(text)) for text in texts))
        with self._changing:
            self._waiting.append(mine)
            first = len(self._waiting) == 1
        if first:
            with self._encoding:
                with self._changing:
                    batch, self._waiting = self._waiting, []
                self._encode(batch)
        return mine.encoded.result()

    def encode_images(
        self, pixels: Sequence[np.ndarray] | np.ndarray, batch_size: int = IMAGE_BATCH
    ) -> Encoded[np.ndarray]:
        """Encode photos, without batching: one photo already uses a whole core."""
        stop_if_unwanted()
        return self._bundle.encode_images(pixels, batch_size)

    def words(self, text: str) -> list[tuple[int, int] | None]:
        """The start and end of each token's word in a text."""
        return self._bundle.words(text)

    def _encode(self, batch: list[_Request]) -> None:
        texts = [text for request in batch for text in request.texts]
        try:
            self._observe(len(texts))
            encoded = self._bundle.encode_texts(texts)
        except BaseException as error:
            for request in batch:
                request.encoded.set_exception(error)
            return
        start = 0
        for request in batch:
            end = start + len(request.texts)
            request.encoded.set_result(_rows(encoded, slice(start, end), request.tokens))
            start = end


def _rows(encoded: Encoded[np.ndarray], rows: slice, tokens: int) -> Encoded[np.ndarray]:
    """Some rows of a batch, without the padding that only longer texts need."""
    return Encoded(
        encoded.context[rows],
        encoded.slots[rows],
        encoded.local[rows, :tokens],
        encoded.mask[rows, :tokens],
    )
