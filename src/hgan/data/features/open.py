"""Open region features by their path: a feature store, or a folder in SCAN's format."""

from pathlib import Path

from hgan.data.features.precomp import PrecompFeatures
from hgan.data.features.store import FeatureStore
from hgan.data.features.types import PRECOMPUTED, Features
from hgan.errors import DataError


def open_features(path: Path, backbone: str) -> Features:
    """Open features for reading.

    Args:
        path: a feature store, or a folder in SCAN's format.
        backbone: refuse features that another backbone made; `precomputed` for SCAN's format.

    Raises:
        DataError: there are none, they are damaged, or another backbone made them.
    """
    is_store = (path / "manifest.json").is_file()
    if not is_store and backbone == PRECOMPUTED:
        return PrecompFeatures(path)
    if not is_store and any(path.glob("*_ims.npy")):
        raise DataError(
            f"{path}: features that come ready, but {backbone} is asked for; set vision.backbone "
            f"to {PRECOMPUTED}"
        )
    return FeatureStore(path, backbone)
