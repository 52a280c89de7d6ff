"""The cost of a comparison, measured on full tiles, however few photos and captions a split has."""

import math
import statistics
import time
from typing import Any

import torch

from hgan.evaluation.ranking import TILE
from hgan.evaluation.scoring import Scores

LEAST_TILES, LEAST_SECONDS = 3, 0.5
"""The measurement ends after this many tiles that took this long together."""


def measure_cost(scores: Scores) -> dict[str, Any]:
    """Measure the time of a comparison, and the size of an encoded photo.

    The tile is that of an evaluation. A split with fewer photos or captions is repeated to fill it,
    since a small tile takes about as long as a large one and its pairs would seem to be slow.

    Returns:
        `microseconds_per_pair`, the median over tiles; `pairs`, the number of pairs that were
        compared for it; and `bytes_per_image`, in float16.
    """
    photos, texts = scores.shape
    part = scores.part(torch.arange(TILE[0]) % photos, torch.arange(TILE[1]) % texts)
    rows, columns = (slice(0, side) for side in TILE)
    part(rows, columns)  # the first tile allocates memory
    seconds: list[float] = []
    while len(seconds) < LEAST_TILES or sum(seconds) < LEAST_SECONDS:
        start = time.perf_counter()
        part(rows, columns)
        seconds.append(time.perf_counter() - start)
    pairs = math.prod(TILE)
    return {
        "microseconds_per_pair": 1e6 * statistics.median(seconds) / pairs,
        "pairs": pairs * len(seconds),
        "bytes_per_image": scores.bytes_per_image,
    }
