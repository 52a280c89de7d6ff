"""Mosaics in a feature store: a row is four photos as the quarters of one.

The id of a row is the four photos' ids, one a line. A store has several sets of mosaics; in each,
every photo is in one mosaic, except that up to three are left over.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hgan.data.features.types import Features
from hgan.errors import DataError

FOLDER = "mosaics"
"""Folder of the mosaics' features, in the folder of the photos' features."""


def mosaic_ids(photos: Sequence[str], sets: int) -> list[str]:
    """The ids of this many sets of mosaics of photos; they depend on the photos alone."""
    rng = np.random.default_rng(0)
    ids = []
    for _ in range(sets):
        groups = rng.permutation(len(photos))[: len(photos) // 4 * 4].reshape(-1, 4)
        ids += ["\n".join(photos[p] for p in group) for group in groups.tolist()]
    return ids


def quarters(identifier: str) -> list[str]:
    """The ids of a mosaic's photos, row by row; a photo's own id alone."""
    return identifier.split("\n")


class Mosaics:
    """The mosaics of a data set's photos.

    Attributes:
        photos: (S, M, 4) positions of the photos in each mosaic of each set.
        store: the features of the mosaics.
        rows: (S, M) the row of each mosaic in the store.

    Raises:
        DataError: the store was made for other photos.
    """

    def __init__(self, photos: Sequence[str], store: Features, path: Path) -> None:
        position = {name: i for i, name in enumerate(photos)}
        count = len(photos) // 4
        sets = len(store.rows) // max(count, 1)
        if not sets or list(store.rows) != mosaic_ids(photos, sets):
            raise DataError(
                f"{path}: mosaics of other photos than those to train on; remove this folder, and "
                "run `hgan extract` with this config"
            )
        groups = [[position[name] for name in quarters(key)] for key in store.rows]
        self.photos = np.array(groups).reshape(sets, count, 4)
        self.rows = np.array(list(store.rows.values())).reshape(sets, count)
        self.store = store
