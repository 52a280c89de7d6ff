"""Made-up photos for the tests of indexing and searching."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}


def save_photo(path: Path, colour: tuple[int, int, int], seed: int = 0) -> Path:
    """A noisy photo of one colour; the seed makes it one of a kind."""
    noise = np.random.default_rng(seed).normal(0, 20, (24, 32, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((noise + colour).clip(0, 255).astype(np.uint8)).save(path)
    return path
