"""The three levels of similarity in NumPy, and the dense vector that contains the first two.

    S = b_c S_context + b_s S_shared + b_l S_local

S_context is the cosine of the contexts, S_shared the mean cosine of corresponding slots, S_local
the mean over the text's words of the best region's cosine. All of them are computed as inner
products: rows are unit vectors, or shorter ones in a model with a semantic prior. Photos are always
the first argument and texts the second; if a photo is the query, it takes the place of the text,
and its regions take the place of the words.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hgan.encoded import LEVELS, Encoded


class Scores(NamedTuple):
    """Similarity of B photos and T texts."""

    total: np.ndarray
    """(B, T) float32: S, the weighted sum of the levels."""
    levels: dict[str, np.ndarray]
    """(B, T) float32 for each level that the model has."""


def dense(encoded: Encoded[np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """Context and slots as one vector per item: (N, E) float32, E = D + K * D_s.

    The vectors are scaled by the weights, so that the inner product of two dense vectors is exactly
    b_c S_context + b_s S_shared. A level of weight zero is left out.
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
    """E, the width of the vectors that `dense` returns for a model with these widths."""
    context = widths["context"] if weights["context"] else 0
    return context + (widths["slots"] * widths["slot"] if weights["shared"] else 0)


def dense_levels(
    photos: np.ndarray, query: np.ndarray, widths: Mapping[str, int], weights: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """The levels that dense vectors contain, (N,) each, of N photos (N, E) and a query (E,)."""
    levels = {}
    split = widths["context"] if weights["context"] else 0
    if weights["context"]:
        levels["context"] = photos[:, :split] @ query[:split] / weights["context"]
    if weights["shared"]:
        levels["shared"] = photos[:, split:] @ query[split:] / weights["shared"]
    return levels


def dense_bound(query: np.ndarray, weights: Mapping[str, float]) -> float:
    """The largest absolute inner product of a query (E,) and the dense vector of any item."""
    return float(np.linalg.norm(query)) * float(np.sqrt(weights["context"] + weights["shared"]))


def local_bound(local: np.ndarray) -> float:
    """The largest absolute S_local of a query's words or regions (w, D_l) and any item."""
    return float(np.linalg.norm(local, axis=-1).max(initial=0.0))


def score_levels(
    photos: Encoded[np.ndarray], texts: Encoded[np.ndarray], weights: Mapping[str, float]
) -> Scores:
    """S and its levels for every photo and every text; a level of weight zero is left out."""
    levels: dict[str, np.ndarray] = {
        name: _LEVEL[name](photos, texts) for name in LEVELS if weights[name]
    }
    total = np.zeros((len(photos.context), len(texts.context)), np.float32)
    for name, scores in levels.items():
        total += weights[name] * scores
    return Scores(total, levels)


def sentence_levels(items: Sequence[np.ndarray], local: np.ndarray, is_photo: bool) -> np.ndarray:
    """S_local of indexed sentences, (N,) float32, for a photo or another sentence as the query.

    The level has a direction, from a sentence's words to a photo's regions. Here the index contains
    the words. If the query is a photo, S_local is as usual the mean over the sentence's words of
    the photo's best region. If the query is a sentence, its words are the words, and the words of
    the indexed sentence take the place of regions, scaled to unit length like regions.

    Args:
        items: (n_i, D_l) the words of each sentence without padding, at least one.
        local: (w, D_l) the query: a photo's regions, or a sentence's words.
        is_photo: whether the query is a photo.
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


def _context(photos: Encoded[np.ndarray], texts: Encoded[np.ndarray]) -> np.ndarray:
    cosines: np.ndarray = photos.context.astype(np.float32) @ texts.context.astype(np.float32).T
    return cosines


def _shared(photos: Encoded[np.ndarray], texts: Encoded[np.ndarray]) -> np.ndarray:
    # The mean over slots of inner products is one inner product of the concatenated slots.
    (n, slots, width), t = photos.slots.shape, len(texts.slots)
    flat = photos.slots.reshape(n, slots * width).astype(np.float32)
    cosines: np.ndarray = flat @ texts.slots.reshape(t, slots * width).astype(np.float32).T
    return np.asarray(cosines / slots)


def _local(photos: Encoded[np.ndarray], texts: Encoded[np.ndarray]) -> np.ndarray:
    n, regions, width = photos.local.shape
    scores = np.zeros((n, len(texts.local)), np.float32)
    if not regions:
        return scores
    # Padding is masked with -inf, since zero would be larger than every negative cosine. The score
    # of a photo without regions or of a text without words is zero.
    padding = np.where(photos.mask, 0, -np.inf).astype(np.float32)[:, :, None]  # (N, n, 1)
    empty = ~photos.mask.any(axis=1)
    flat = photos.local.reshape(n * regions, width).astype(np.float32)
    for column, (local, mask) in enumerate(zip(texts.local, texts.mask, strict=True)):
        words = local[mask].astype(np.float32)  # (w, D_l), without padding
        if len(words):
            cosines = (flat @ words.T).reshape(n, regions, len(words))
            scores[:, column] = (cosines + padding).max(axis=1).mean(axis=1)
    scores[empty] = 0
    return scores


_LEVEL = {"context": _context, "shared": _shared, "local": _local}
