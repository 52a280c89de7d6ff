"""Features of another grid or of photos of another size are refused, naming both."""

from pathlib import Path

import numpy as np
import pytest

from hgan.config import VisionConfig
from hgan.data.features.manifest import Manifest
from hgan.data.features.precomp import PrecompFeatures
from hgan.data.features.store import FeatureStore, FeatureWriter
from hgan.errors import ConfigError, DataError
from hgan.vision.backbone import grid_boxes
from hgan.vision.features import features_of


def write_store(folder: Path, boxes: np.ndarray, size: int, backbone: str = "net") -> Path:
    manifest = Manifest(backbone, size, boxes.tolist(), 4, 1, ["a.jpg"])
    with FeatureWriter(folder, manifest) as writer:
        writer.write(np.ones((1, 1, len(boxes), 4)), np.ones((1, 1, 4)), {})
        writer.finish()
    return folder


def test_features_that_fit_are_opened(tmp_path: Path) -> None:
    store = write_store(tmp_path / "net", grid_boxes(3), 32)
    for size in (32, None):  # the size of a Hugging Face model is not known here
        assert isinstance(features_of(VisionConfig("net", size, 3), store), FeatureStore)
    store = write_store(tmp_path / "lite", grid_boxes(6), 260, "efficientnet-lite2")
    features_of(VisionConfig("efficientnet-lite2"), store)


def test_another_grid_is_refused(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", grid_boxes(4), 32)
    message = rf"vision.grid: 6, but .* {store} are of a grid of 4 x 4 .*; set vision.grid to 4, or"
    with pytest.raises(ConfigError, match=message):
        features_of(VisionConfig("net", 32, 6), store)


def test_another_size_is_refused(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", grid_boxes(6), 300, "efficientnet-lite2")
    with pytest.raises(ConfigError, match=r"vision.size: 224, but .* 300 x 300 .* to 300, or run"):
        features_of(VisionConfig("efficientnet-lite2", 224), store)
    message = r"vision.size: not set, and efficientnet-lite2's own is 260, but .* 300 x 300"
    with pytest.raises(ConfigError, match=message):
        features_of(VisionConfig("efficientnet-lite2"), store)
    features_of(VisionConfig("efficientnet-lite2", 300), store)


def test_another_backbone_is_refused(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", grid_boxes(6), 260, "efficientnet-lite2")
    with pytest.raises(DataError, match="made with efficientnet-lite2, but efficientnet-lite0 is"):
        features_of(VisionConfig("efficientnet-lite0"), store)


def test_regions_that_are_not_a_grid_have_no_grid_to_compare(tmp_path: Path) -> None:
    boxes = np.array([[0, 0, 0.5, 1], [0.2, 0, 1, 1], [0, 0, 1, 1], [0.1, 0.1, 0.3, 0.2]])
    store = write_store(tmp_path / "detector", boxes, 0, "my-detector")
    assert isinstance(features_of(VisionConfig("my-detector", grid=6), store), FeatureStore)
    folder = tmp_path / "scan"
    folder.mkdir()
    np.save(folder / "train_ims.npy", np.ones((2, 36, 4), np.float32))
    (folder / "train_ids.txt").write_text("1\n2\n")
    (folder / "train_caps.txt").write_text("one\ntwo\n")
    assert isinstance(features_of(VisionConfig("precomputed"), folder), PrecompFeatures)
