"""The relevance of the hits of an index; see `hgan.search.calibration`."""

import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from itertools import islice

import numpy as np

from hgan.index.store.contract import DamagedError, Point, Store
from hgan.runtime.bundle import Bundle
from hgan.search.calibration import SAMPLE, Calibration, Candidates, quantities
from hgan.search.query import EncodedQuery, Part

FRESH = 60.0
"""Seconds after which the sample of the collection is read again."""


class Relevance:
    """Judges hits, if the model has a calibration."""

    def __init__(self, bundle: Bundle, store: Store) -> None:
        self._bundle = bundle
        self._store = store
        self._sample: tuple[float, np.ndarray] | None = None

    @cached_property
    def calibration(self) -> Calibration | None:
        """The calibration of the model; None if there is none.

        Raises:
            BundleError: it is damaged.
        """
        if not self._bundle.weights["context"]:
            return None
        width = self._bundle.widths["context"]
        return Calibration.load(self._bundle.folder, self._bundle.id, width)

    def of(
        self, query: EncodedQuery, hits: Sequence[Point], scores: Sequence[float], best: float
    ) -> list[float] | None:
        """The relevance of each hit; None for queries that are not one text, apart from texts to
        avoid, and for models without a calibration.

        Args:
            query: the query.
            hits: the hits.
            scores: S of each hit.
            best: mean S of the best candidates, `BEST` of them if there are as many.
        """
        text = _only_text(query)
        if text is None or not hits or self.calibration is None:
            return None
        photos = self._contexts(np.stack([hit.dense for hit in hits]))
        sample = self._collection()
        sample = sample if len(sample) else photos
        candidates = Candidates(photos, np.array(scores, np.float32), best, sample)
        context = self._contexts(text.dense[None])[0]
        measured = quantities(context, len(text.local), candidates, self.calibration.background)
        return [float(value) for value in self.calibration.regression.relevance(measured)]

    def _collection(self) -> np.ndarray:
        """(n, D): context vectors of some photos. Ids are hashes, so the first ones are a random
        sample."""
        now = time.monotonic()
        if self._sample is None or now - self._sample[0] > FRESH:
            ids = [entry.id for entry in islice(self._store.entries(), SAMPLE)]
            points = _intact(self._store, ids)
            found = [self._contexts(point.dense[None]) for point in points]
            self._sample = now, np.concatenate(found) if found else np.zeros((0, 0), np.float32)
        return self._sample[1]

    def _contexts(self, dense: np.ndarray) -> np.ndarray:
        """The context vectors (N, D) in dense vectors (N, E)."""
        width, weight = self._bundle.widths["context"], self._bundle.weights["context"]
        contexts: np.ndarray = dense[:, :width].astype(np.float32) / np.sqrt(weight)
        return contexts


def _intact(store: Store, ids: Sequence[str]) -> list[Point]:
    """The items that are not damaged: a damaged one matters only to the searches that find it."""
    try:
        return store.fetch(ids)
    except DamagedError:
        found: list[Point] = []
        for key in ids:
            with suppress(DamagedError):
                found += store.fetch([key])
        return found


def _only_text(query: EncodedQuery) -> Part | None:
    """The text of a query that has no other part of positive weight."""
    wanted = [part for part in query.parts if part.weight > 0]
    return wanted[0] if len(wanted) == 1 and not wanted[0].is_photo else None
