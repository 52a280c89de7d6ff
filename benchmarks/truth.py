"""What a service may answer while others change its index; `soak.py` checks its answers with it."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hgan.answers import SearchHit

TOLERANCE = 2e-3
"""Maximum difference of a score from the expected one: the network's batches differ."""


@dataclass(frozen=True)
class Asked:
    """A query, and the score of each photo file for it."""

    text: str
    photo: bytes
    """The bytes of a photo; empty for a query of words."""
    scores: dict[str, float]
    """By the name of the file whose content a photo has."""


@dataclass
class Truth:
    """What the service may answer."""

    contents: dict[str, frozenset[str]]
    """The files whose content each path may have; all paths that may ever be found."""
    gone: dict[str, float] = field(default_factory=dict)
    """Paths that are not in the index, and since when this is known."""
    ids: dict[str, str] = field(default_factory=dict)
    """The id of each path that was seen."""
    wrong: Counter[str] = field(default_factory=Counter)
    """Kinds of wrong answers."""
    examples: list[str] = field(default_factory=list)

    def blame(self, kind: str, details: object) -> None:
        """Count a wrong answer."""
        self.wrong[kind] += 1
        if self.wrong[kind] <= 5:
            self.examples.append(f"{kind}: {details}")

    def check(self, hits: Sequence[SearchHit], query: Asked, k: int, started: float) -> None:
        """Check the answer to a search that started at this time."""
        if len(hits) != k:
            self.blame("number of hits", f"{len(hits)} instead of {k}")
        if len({hit.path for hit in hits}) != len(hits):
            self.blame("repeated hits", [hit.path for hit in hits])
        scores = [hit.score for hit in hits]
        if scores != sorted(scores, reverse=True):
            self.blame("order", scores)
        for hit in hits:
            if hit.path not in self.contents:
                self.blame("unknown photo", hit.path)
                continue
            if self.gone.get(hit.path, math.inf) < started:
                self.blame("removed photo", hit.path)
            if self.ids.setdefault(hit.path, hit.id) != hit.id:
                self.blame("id", f"{hit.path} has {hit.id} and {self.ids[hit.path]}")
            expected = [query.scores[name] for name in self.contents[hit.path]]
            if min(abs(hit.score - score) for score in expected) > TOLERANCE:
                self.blame("score", f"{hit.path}: {hit.score}, not {expected}, {query.text!r}")
