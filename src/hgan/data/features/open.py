"""Open region features of either form: a feature store, or a folder in SCAN's format."""

from pathlib import Path

from hgan.data.features.precomp import PrecompFeatures
from hgan.data.features.store import FeatureStore
from hgan.data.features.types import PRECOMPUTED, Features
from hgan.errors import DataError


def open_features(path: Path, backbone: str, trainable_layers: int = 0) -> Features:
    """Open features for reading.

    Args:
        path: a feature store, or a folder in SCAN's format.
        backbone: the required backbone of the features; `precomputed` for SCAN's format.
        trainable_layers: number of the backbone's layers that are trained, whose input is read too.

    Raises:
        DataError: the features are missing, damaged, or from another backbone.
    """
    is_store = (path / "manifest.json").is_file()
    if not is_store and backbone == PRECOMPUTED:
        return PrecompFeatures(path)
    if not is_store and any(path.glob("*_ims.npy")):
        raise DataError(
            f"{path}: precomputed features, but {backbone} is required; set vision.backbone "
            f"to {PRECOMPUTED}"
        )
    return FeatureStore(path, backbone, trainable_layers=trainable_layers)
