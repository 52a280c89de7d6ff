"""Text queries that come at the same time are encoded as one batch.

Whoever comes first leads: it waits a moment, and for the batch before to be done, then takes all
that have come meanwhile. Alone, a query costs that moment more; under load, batches grow by
themselves.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from time import sleep
from typing import Any

import numpy as np

from hgan.encoded import Encoded
from hgan.runtime.bundle import Bundle
from hgan.runtime.inputs import texts_of
from hgan.runtime.model import IMAGE_BATCH, TEXT_BATCH


@dataclass
class _Waiting:
    texts: Sequence[str]
    tokens: int
    """Of the longest of them."""
    encoded: "Future[Encoded[np.ndarray]]" = field(default_factory=Future)


class BatchingBundle(Bundle):
    """A bundle for many threads, each of which encodes a text or two."""

    def __init__(
        self, bundle: Bundle, window: float, observe: Callable[[int], Any] = lambda _texts: None
    ) -> None:
        """Wrap a bundle.

        Args:
            bundle: it encodes.
            window: seconds to wait for more texts.
            observe: told the size of each batch.
        """
        super().__init__(bundle.folder, bundle.config, bundle.id)
        self._bundle = bundle
        self._window = window
        self._observe = observe
        self._waiting: list[_Waiting] = []
        self._changing = Lock()
        self._encoding = Lock()

    def encode_texts(
        self, texts: Sequence[str], batch_size: int = TEXT_BATCH
    ) -> Encoded[np.ndarray]:
        """Encode sentences, with those of other threads; see `Bundle.encode_texts`."""
        texts = texts_of(texts)
        if not texts:
            return self._bundle.encode_texts(texts)
        # Texts without words are refused here, before they could spoil the batch of others.
        mine = _Waiting(texts, max(len(self._bundle.words(text)) for text in texts))
        with self._changing:
            self._waiting.append(mine)
            leads = len(self._waiting) == 1
        if leads:
            sleep(self._window)
            with self._encoding:
                with self._changing:
                    batch, self._waiting = self._waiting, []
                self._encode(batch)
        return mine.encoded.result()

    def encode_images(
        self, pixels: Sequence[np.ndarray] | np.ndarray, batch_size: int = IMAGE_BATCH
    ) -> Encoded[np.ndarray]:
        """Encode photos; one already keeps a processor busy, so they are not joined."""
        return self._bundle.encode_images(pixels, batch_size)

    def words(self, text: str) -> list[tuple[int, int] | None]:
        """Where each token's word stands in a text."""
        return self._bundle.words(text)

    def _encode(self, batch: list[_Waiting]) -> None:
        texts = [text for waiting in batch for text in waiting.texts]
        try:
            self._observe(len(texts))
            encoded = self._bundle.encode_texts(texts)
        except BaseException as error:
            for waiting in batch:
                waiting.encoded.set_exception(error)
            return
        start = 0
        for waiting in batch:
            end = start + len(waiting.texts)
            waiting.encoded.set_result(_rows(encoded, slice(start, end), waiting.tokens))
            start = end


def _rows(encoded: Encoded[np.ndarray], rows: slice, tokens: int) -> Encoded[np.ndarray]:
    """Some of a batch, without the padding that its longer texts made necessary."""
    return Encoded(
        encoded.context[rows],
        encoded.slots[rows],
        encoded.local[rows, :tokens],
        encoded.mask[rows, :tokens],
    )
