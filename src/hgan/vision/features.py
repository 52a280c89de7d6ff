"""Open the features that a configuration of the backbone asks for, and refuse those of another.

Features of another grid or of photos of another size fit a network just as well, so that training
would not notice; only the exported network, which has the backbone in it, would not work.
"""

from math import isqrt
from pathlib import Path

import numpy as np

from hgan.config import VisionConfig
from hgan.data.features.open import open_features
from hgan.data.features.store import FeatureStore
from hgan.data.features.types import Features
from hgan.errors import ConfigError
from hgan.vision.backbone import grid_boxes
from hgan.vision.load import default_size


def features_of(vision: VisionConfig, path: Path) -> Features:
    """Open the features of a backbone's configuration.

    Args:
        vision: settings of the backbone.
        path: a feature store, or a folder in SCAN's format.

    Raises:
        DataError: the features are missing, damaged, or of another backbone.
        ConfigError: they were extracted with another grid, or from photos of another size; or the
            whole backbone is trained.
    """
    if vision.trainable_layers is None:
        raise ConfigError(
            "vision.trainable_layers: null trains the whole backbone, which reads photos and not "
            f"the features in {path}"
        )
    store = open_features(path, vision.backbone, vision.trainable_layers)
    if vision.dual_encoder != bool(store.context_width):
        found = "embeddings of a dual encoder" if store.context_width else "means of features"
        raise ConfigError(
            f"vision.dual_encoder: {str(vision.dual_encoder).lower()}, but the contexts of the "
            f"features in {path} are {found}; change the setting, or run `hgan extract` into "
            "another folder (data.features)"
        )
    if not isinstance(store, FeatureStore):
        return store
    grid, size = _grid(store), store.manifest.size
    if grid not in (None, vision.grid):
        raise ConfigError(
            f"vision.grid: {vision.grid}, but the features in {path} are of a grid of {grid} x "
            f"{grid} regions; set vision.grid to {grid}, or run `hgan extract` into another folder "
            "(data.features)"
        )
    wanted = vision.size or default_size(vision.backbone)
    if wanted and size and size != wanted:
        given = wanted if vision.size else f"not set, and {vision.backbone}'s own is {wanted}"
        raise ConfigError(
            f"vision.size: {given}, but the features in {path} are of photos of {size} x {size} "
            f"pixels; set vision.size to {size}, or run `hgan extract` into another folder "
            "(data.features)"
        )
    return store


def _grid(store: FeatureStore) -> int | None:
    """Number of regions along each side; None if they are not the cells of a grid, as those of a
    detector."""
    boxes = np.array(store.manifest.boxes, np.float32)
    side = isqrt(len(boxes))
    is_grid = side**2 == len(boxes) and np.allclose(boxes, grid_boxes(side), atol=1e-5)
    return side if is_grid else None
