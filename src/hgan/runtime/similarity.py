"""The three levels of similarity in numpy, and the one vector that carries the first two.

    S = b_c S_context + b_s S_shared + b_l S_local

S_context is the cosine of the contexts, S_shared the mean cosine of equal slots, S_local the mean
over the query's words (a photo's regions, for a photo as query) of the best region's cosine. Rows
are unit vectors, so a cosine is an inner product.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hgan.encoded import LEVELS, Encoded


class Scores(NamedTuple):
    """Similarity of Q queries and N photos."""

    total: np.ndarray
    """(Q, N) float32: S, the weighted sum of the levels."""
    levels: dict[str, np.ndarray]
    """(Q, N) float32 for each level that has a weight."""


def dense(encoded: Encoded[np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """Context and slots as one vector an item: (N, E) float32, E = D + K * D_s.

    The weights are in the norms, so the inner product of two of them is b_c S_context + b_s
    S_shared exactly. A level of weight zero takes no room.
    """
    n, slots, slot_width = encoded.slots.shape
    parts = [np.zeros((n, 0), np.float32)]
    if weights["context"]:
        parts.append(np.sqrt(weights["context"]) * encoded.context.astype(np.float32))
    if weights["shared"]:
        flat = encoded.slots.reshape(n, slots * slot_width).astype(np.float32)
        parts.append(np.sqrt(weights["shared"] / slots) * flat)
    return np.concatenate(parts, axis=1, dtype=np.float32)


def dense_width(widths: Mapping[str, int], weights: Mapping[str, float]) -> int:
    """E, the width of what `dense` makes of a bundle's `widths`."""
    context = widths["context"] if weights["context"] else 0
    return context + (widths["slots"] * widths["slot"] if weights["shared"] else 0)


def dense_levels(
    query: np.ndarray, photos: np.ndarray, widths: Mapping[str, int], weights: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """Take the levels apart again: a query's (E,) and photos' (N, E) dense vectors to (N,) each."""
    levels = {}
    split = widths["context"] if weights["context"] else 0
    if weights["context"]:
        levels["context"] = photos[:, :split] @ query[:split] / weights["context"]
    if weights["shared"]:
        levels["shared"] = photos[:, split:] @ query[split:] / weights["shared"]
    return levels


def score_levels(
    queries: Encoded[np.ndarray], photos: Encoded[np.ndarray], weights: Mapping[str, float]
) -> Scores:
    """S and its levels for every query and every photo; a level of weight zero is left out."""
    levels: dict[str, np.ndarray] = {
        name: _LEVEL[name](queries, photos) for name in LEVELS if weights[name]
    }
    total = np.zeros((len(queries.context), len(photos.context)), np.float32)
    for name, scores in levels.items():
        total += weights[name] * scores
    return Scores(total, levels)


def sentence_levels(
    items: Sequence[np.ndarray], local: np.ndarray, is_photo: bool
) -> np.ndarray:
    """S_local of sentences that are searched, (N,) float32, by a photo or by another sentence.

    The level has a direction, from a sentence's words to a photo's regions. Here the words are on
    the side of the index, so a photo is compared with them by S_local of the pair, as always: the
    mean over the sentence's words of the photo's best region. Of two sentences, the one that is
    asked for has the words, and those of the other are the regions, of unit length like them.

    Args:
        items: (n_i, D_l) the real words of each sentence, one at least.
        local: (w, D_l) a photo's regions, or the words that are asked for.
        is_photo: which of the two.
    """
    if not len(items):
        return np.zeros(0, np.float32)
    lengths = np.array([len(words) for words in items])
    starts = np.cumsum(lengths) - lengths  # (N,)
    rows = np.concatenate(items).astype(np.float32)  # (W, D_l)
    local = local.astype(np.float32)
    if is_photo:
        best = (rows @ local.T).max(axis=1)  # (W,)
        return np.asarray(np.add.reduceat(best, starts) / lengths, np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = rows / np.maximum(norms, np.finfo(np.float32).tiny) @ local.T  # (W, w)
    return np.asarray(np.maximum.reduceat(cosines, starts, axis=0).mean(axis=1), np.float32)


def _context(queries: Encoded[np.ndarray], photos: Encoded[np.ndarray]) -> np.ndarray:
    cosines: np.ndarray = queries.context.astype(np.float32) @ photos.context.astype(np.float32).T
    return cosines


def _shared(queries: Encoded[np.ndarray], photos: Encoded[np.ndarray]) -> np.ndarray:
    # The mean over slots of inner products is one inner product of the slots laid end to end.
    (q, slots, width), n = queries.slots.shape, len(photos.slots)
    flat = queries.slots.reshape(q, slots * width).astype(np.float32)
    cosines: np.ndarray = flat @ photos.slots.reshape(n, slots * width).astype(np.float32).T
    return np.asarray(cosines / slots)


def _local(queries: Encoded[np.ndarray], photos: Encoded[np.ndarray]) -> np.ndarray:
    n, regions, width = photos.local.shape
    scores = np.zeros((len(queries.local), n), np.float32)
    if not regions:
        return scores
    # Padding is taken out with -inf, not zeroed: zero would beat every negative cosine. A photo
    # without any region, or a query without any word, has nothing to compare and scores zero.
    padding = np.where(photos.mask, 0, -np.inf).astype(np.float32)[:, :, None]  # (N, n, 1)
    empty = ~photos.mask.any(axis=1)
    flat = photos.local.reshape(n * regions, width).astype(np.float32)
    for row, (local, mask) in enumerate(zip(queries.local, queries.mask, strict=True)):
        words = local[mask].astype(np.float32)  # (w, D_l), the real ones
        if len(words):
            cosines = (flat @ words.T).reshape(n, regions, len(words))
            scores[row] = (cosines + padding).max(axis=1).mean(axis=1)
    scores[:, empty] = 0
    return scores


_LEVEL = {"context": _context, "shared": _shared, "local": _local}
