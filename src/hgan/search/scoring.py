"""The second stage of a search: the similarity S of the candidates that the first stage found.

The first stage gives the inner products at the dense levels, context and slots; the similarity at
the local level is added to them. Scores that intact vectors cannot have are found here.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from hgan.errors import IndexingError
from hgan.index.store.contract import Match, Store, repair
from hgan.index.store.manifest import Holds
from hgan.runtime.bundle import Bundle
from hgan.runtime.similarity import dense_bound, local_bound, sentence_levels
from hgan.search.query import EncodedQuery

ROUNDING = 1.02
"""Factor by which rounding to float16 or 8 bits can increase a score."""


class Scored(NamedTuple):
    """Candidates with their scores."""

    matches: list[Match]
    """By S, best first; without items that no longer exist."""
    local: dict[str, float]
    """Similarity at the local level, by id."""


class Scorer:
    """Scores candidates of an index; several threads may use it at once."""

    def __init__(self, store: Store, bundle: Bundle, holds: Holds, where: object) -> None:
        """Create the scorer.

        Args:
            store: the open store of the index.
            bundle: the bundle of the index.
            holds: whether the index contains photos or texts.
            where: the index, for error messages.
        """
        self._store = store
        self._bundle = bundle
        self._holds = holds
        self._where = where

    def score(self, query: EncodedQuery, found: Mapping[str, float]) -> Scored:
        """Score candidates by S.

        Args:
            query: the query.
            found: inner product of each candidate with the query's dense vector, by id.

        Raises:
            IndexingError: the index fails, or is damaged.
        """
        weight = self._bundle.weights["local"]
        self._check("context and shared", found, dense_bound(query.dense, self._bundle.weights))
        local = self._local(query, list(found)) if weight else dict.fromkeys(found, 0.0)
        most = sum(abs(part.weight) * local_bound(part.local) for part in query.parts)
        self._check("local", local, most)
        # An item that was deleted meanwhile has no local similarity.
        matches = [Match(key, found[key] + weight * value) for key, value in local.items()]
        # The order of equal scores must not depend on the engine.
        return Scored(sorted(matches, key=lambda match: (-match.score, match.id)), local)

    def _check(self, level: str, scores: Mapping[str, float], bound: float) -> None:
        """Raise `IndexingError` if a score is larger than any that intact vectors can have."""
        allowed = bound * ROUNDING + 1e-3
        for score in scores.values():
            if not abs(score) <= allowed:  # also for NaN
                raise IndexingError(
                    f"{self._where}: damaged, an item has the score {score:.4g} at the level "
                    f"{level}, and at most {bound:.4g} is possible; "
                    f"{repair(self._where)}"
                )

    def _local(self, query: EncodedQuery, ids: list[str]) -> dict[str, float]:
        """Similarity at the local level, summed over the parts of the query; without items that
        no longer exist."""
        if self._holds == "texts":
            return self._local_of_texts(query, ids)
        total = dict.fromkeys(ids, 0.0)
        for words, sign in ((query.positive, 1.0), (query.negative, -1.0)):
            if len(words):
                found = self._store.rescore(words, list(total))
                total = {key: total[key] + sign * found[key] for key in total if key in found}
        return total

    def _local_of_texts(self, query: EncodedQuery, ids: list[str]) -> dict[str, float]:
        """The same for an index of texts. The engine's MaxSim cannot be used, because it has the
        opposite direction: from the query's vectors to the stored ones."""
        points = self._store.fetch(ids, local=True)
        words = [point.local for point in points]
        total = np.zeros(len(points), np.float32)
        for part in query.parts:
            total += part.weight * sentence_levels(words, part.local, part.is_photo)
        return {point.entry.id: float(score) for point, score in zip(points, total, strict=True)}
