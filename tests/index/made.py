"""Made-up points for the tests of stores."""

import numpy as np

from hgan.index.store import Entry, Point

DENSE, LOCAL = 12, 6


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def points(n: int, seed: int = 0, dense: int = DENSE, local: int = LOCAL) -> list[Point]:
    """Points with one to five regions each; norms of the dense vectors are not one."""
    dice = np.random.default_rng(seed)
    return [
        Point(
            Entry(f"{i % 3}/sub {i % 2}/ø {i}.jpg", size=i + 2**40, mtime=i + 2**60, digest=f"{i}"),
            0.7 * unit(dice.normal(size=dense)) if dense else np.zeros(0, np.float32),
            unit(dice.normal(size=(1 + i % 5, local))) if local else np.zeros((1, 0), np.float32),
        )
        for i in range(n)
    ]
