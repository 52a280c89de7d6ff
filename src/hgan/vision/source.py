"""What training reads of photos: stored features, which are made where they are missing, or the
photos themselves in new views."""

from hgan.config import DataConfig, VisionConfig
from hgan.data.captions.types import Captions
from hgan.data.features.mosaics import FOLDER, Mosaics, mosaic_ids
from hgan.data.features.types import PRECOMPUTED, Features
from hgan.errors import DataError
from hgan.vision.features import features_of
from hgan.vision.load import backbone_of
from hgan.vision.make import is_made, make_features, make_mosaics
from hgan.vision.photos import PhotoFeatures, unreadable


def open_training(
    data: DataConfig,
    vision: VisionConfig,
    captions: Captions,
    needs_frozen: bool = True,
    colour: float = 0.0,
) -> Features:
    """Open the features of a data set for training; make or continue them if they are not complete.
    With `vision.views` null, they are those of photos that are read then, and all photos to train
    and to validate on are decoded once before.

    Args:
        data: where photos and features are.
        vision: settings of the backbone.
        captions: the photos.
        needs_frozen: whether features of the frozen network are needed beside the input of trained
            layers.
        colour: largest change of the colours of a new view, as a share.

    Raises:
        DataError: photos are missing or cannot be read, more than a tenth of them; or the features
            are damaged, or of other photos or another backbone.
        ConfigError: the backbone cannot be loaded, or features are of another grid or size.
    """
    if vision.views is None:
        backbone = backbone_of(vision)
        backbone.needs_frozen = needs_frozen
        pairs = zip(captions.images, captions.splits, strict=True)
        used = [name for name, split in pairs if split in ("train", "val")]
        skipped = unreadable(data.photos, used, backbone.preprocessing)
        return PhotoFeatures(backbone, data.photos, used, skipped, colour)
    if vision.backbone != PRECOMPUTED and not is_made(data.features):
        make_features(data, vision, captions)
    return features_of(vision, data.features)


def open_mosaics(
    data: DataConfig, vision: VisionConfig, train: Captions, store: Features
) -> Mosaics:
    """Open the mosaics of the photos to train on; make them if they are not complete.

    Args:
        data: where photos and features are.
        vision: settings of the backbone, and the number of mosaics.
        train: the photos to train on.
        store: their features, from `open_training`.

    Raises:
        DataError: there can be no mosaics of these photos, or those that exist are of others.
        ConfigError: see `open_training`.
    """
    folder = data.features / FOLDER
    if isinstance(store, PhotoFeatures):
        ids = mosaic_ids(train.images, vision.mosaics)
        return Mosaics(train.images, store.of(ids), data.photos)
    if not is_made(folder):
        make_mosaics(data, vision, train.images)
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no features of mosaics, which need four photos to train on; set "
            "vision.mosaics to 0"
        )
    return Mosaics(train.images, features_of(vision, folder), folder)
