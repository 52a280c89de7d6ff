"""Made-up points for the tests of stores, and a server without a server."""

import numpy as np
from qdrant_client import QdrantClient

from hgan.index.store import Entry, Point

DENSE, LOCAL = 12, 6
CAMERAS = ("Canon EOS 5D", "Canon PowerShot", "SONY DSC-W7")
TAGS = ("beach", "été à deux")


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def points(n: int, seed: int = 0, dense: int = DENSE, local: int = LOCAL) -> list[Point]:
    """Points with one to five regions each; norms of the dense vectors are not one."""
    dice = np.random.default_rng(seed)
    return [
        Point(
            entry(i),
            0.7 * unit(dice.normal(size=dense)) if dense else np.zeros(0, np.float32),
            unit(dice.normal(size=(1 + i % 5, local))) if local else np.zeros((1, 0), np.float32),
        )
        for i in range(n)
    ]


def entry(i: int) -> Entry:
    """Every fourth photo says neither time nor camera."""
    says = i % 4 != 3
    return Entry(
        f"{i % 3}/sub {i % 2}/ø {i}.jpg",
        size=i + 2**40,
        mtime=i + 2**60,
        digest=f"{i}",
        taken=(i - 7) * 10_000_000 if says else None,
        camera=CAMERAS[i % 5 % 3] if says else "",
        tags=TAGS[: i % 3],
    )


class LocalServer(QdrantClient):
    """Qdrant's client doing by itself what a server does; like one, it outlives a connection."""

    def __init__(self) -> None:
        super().__init__(":memory:")

    def close(self, **_: object) -> None:
        """Keep everything."""
