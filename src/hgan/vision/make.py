"""Make the features of a data set: those of its photos and, for training, of mosaics of them."""

from pathlib import Path

from hgan.config import DataConfig, VisionConfig
from hgan.data.captions.types import Captions
from hgan.data.features.manifest import read_manifest
from hgan.data.features.mosaics import FOLDER, mosaic_ids
from hgan.data.features.store import FeatureStore
from hgan.errors import ConfigError
from hgan.progress import console
from hgan.vision.extract import extract
from hgan.vision.load import backbone_of


def is_made(folder: Path) -> bool:
    """Whether a folder has complete features, or features that hgan has not made."""
    if (folder / "manifest.json").is_file():
        return bool(read_manifest(folder).checksums)
    return any(folder.glob("*_ims.npy"))


def make_features(data: DataConfig, vision: VisionConfig, captions: Captions) -> FeatureStore:
    """Extract the features of all photos of a data set and, with `vision.mosaics`, of mosaics of
    those to train on. What is there already is not made again.

    Returns:
        The features of the photos.

    Raises:
        ConfigError: the backbone cannot be loaded, or the settings ask for new views.
        DataError: see `hgan.vision.extract.extract`.
    """
    if vision.views is None:
        raise ConfigError(
            "vision.views: null, so that photos are read in training and no features are stored; "
            "set it to a number"
        )
    backbone = backbone_of(vision)
    store = extract(backbone, data.photos, captions.images, data.features, vision.views)
    if vision.mosaics:
        pairs = zip(captions.images, captions.splits, strict=True)
        train = [name for name, split in pairs if split == "train" and name in store.rows]
        make_mosaics(data, vision, train)
    return store


def make_mosaics(data: DataConfig, vision: VisionConfig, train: list[str]) -> None:
    """Extract the features of mosaics of the photos to train on; if there can be none, a line on
    the console says why.

    Args:
        data: where photos and features are.
        vision: the backbone, and the number of mosaics.
        train: the photos to train on that can be read.

    Raises:
        ConfigError: the backbone cannot be loaded.
        DataError: see `hgan.vision.extract.extract`.
    """
    if len(train) < 4:
        where = f"{data.captions} has {len(train)} photos in split 'train'"
        console.print(f"no mosaics: {where}, and a mosaic needs four", markup=False, soft_wrap=True)
        return
    ids = mosaic_ids(train, vision.mosaics)
    extract(backbone_of(vision), data.photos, ids, data.features / FOLDER)
