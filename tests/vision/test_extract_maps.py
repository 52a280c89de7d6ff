"""Extraction of the input of trained layers: the maps equal eager torch, also after a break."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hgan.data.features.manifest import read_manifest
from hgan.data.features.store import FeatureStore, FeatureWriter
from hgan.errors import DataError
from hgan.runtime.images import open_photo
from hgan.runtime.preprocessing import Preprocessing
from hgan.vision.backbone import Backbone, Blocks, GridPool, Regions, pool
from hgan.vision.extract import extract
from hgan.vision.load import load_backbone
from hgan.vision.views import view
from tests.fixtures.extraction import assert_same_store, write_photos

pytestmark = pytest.mark.usefixtures("exported_once")


class ConvBackbone(Backbone):
    """Three convolutions, of which the last ones can be trained."""

    name, size, width = "three convolutions", 32, 10

    def __init__(self, trainable_layers: int, grid: int = 2) -> None:
        super().__init__(mean=(127.0,) * 3, std=(128.0,) * 3)
        self.grid, self.trainable_layers = grid, trainable_layers
        with torch.random.fork_rng():
            torch.manual_seed(4)
            layers = [nn.Conv2d(3, 6, 4, 4), nn.Conv2d(6, 8, 1), nn.Conv2d(8, 10, 1)]
        self.layers = nn.Sequential(*layers).eval()

    def feature_map(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layers(pixels)

    def lower(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layers[: 3 - self.trainable_layers](pixels)

    def upper(self, maps: torch.Tensor) -> Regions:
        return pool(self.layers[3 - self.trainable_layers :](maps), self.grid)

    def blocks(self) -> Blocks:
        copy = deepcopy(self.layers[3 - self.trainable_layers :])
        return Blocks(copy, GridPool(self.grid))


@torch.inference_mode()
def assert_maps(store: FeatureStore, backbone: Backbone, photos: Path, names: list[str]) -> None:
    """Maps and regions of each view of each photo are those of eager torch, and the blocks compute
    the regions from the maps."""
    blocks = backbone.blocks()
    for name in names:
        for number in range(store.views):
            photo = view(open_photo(photos / name), number, name)
            expected = backbone(
                torch.from_numpy(Preprocessing(backbone.size).pixels(photo).copy())[None]
            )
            rows = np.array([store.rows[name]])
            found = store.read(rows, np.array([number]))
            np.testing.assert_allclose(found.maps, expected.maps.numpy(), rtol=2e-3, atol=2e-3)
            again = blocks(torch.from_numpy(found.maps))
            np.testing.assert_allclose(again.regions, found.regions, rtol=1e-2, atol=1e-2)
            np.testing.assert_allclose(again.context, found.context, rtol=1e-2, atol=1e-2)


@pytest.mark.slow
def test_input_of_trainable_layers_is_extracted(tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 11)
    (tmp_path / "photos" / names[2]).write_bytes(b"")
    for count, shape in ((1, [8, 8, 8]), (2, [6, 8, 8])):
        backbone = ConvBackbone(count)
        store = extract(backbone, tmp_path / "photos", names, tmp_path / f"{count}", views=3)
        assert store.manifest.trainable_layers == count and store.manifest.map_shape == shape
        assert np.load(tmp_path / f"{count}" / "maps.npy").shape == (11, 3, *shape)
        assert_maps(store, backbone, tmp_path / "photos", [n for n in names if n != names[2]])
        assert not store.maps[2].any()
    frozen = extract(ConvBackbone(0), tmp_path / "photos", names, tmp_path / "0", views=3)
    assert frozen.maps is None and not (tmp_path / "0" / "maps.npy").exists()
    np.testing.assert_allclose(frozen.regions, store.regions, rtol=1e-3, atol=1e-3)


def test_a_photo_that_was_skipped_gets_its_maps_later(tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 11)
    backbone, photos = ConvBackbone(2), tmp_path / "photos"
    extract(backbone, photos, names, tmp_path / "whole", views=3)
    kept = (photos / names[2]).read_bytes()
    (photos / names[2]).write_bytes(b"")
    extract(backbone, photos, names, tmp_path / "store", views=3)
    (photos / names[2]).write_bytes(kept)
    extract(backbone, photos, names, tmp_path / "store", views=3)
    assert_same_store(tmp_path / "store", tmp_path / "whole")


def test_an_interrupted_extraction_with_maps_goes_on_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hgan.vision.extract.FLUSH_EVERY", 4)
    names = write_photos(tmp_path / "photos", 11)
    backbone, whole, cut = ConvBackbone(2), tmp_path / "whole", tmp_path / "cut"
    extract(backbone, tmp_path / "photos", names, whole, views=2)

    write, calls = FeatureWriter.write, []

    def interrupted(self: FeatureWriter, *values: object) -> None:
        calls.append(values)
        if len(calls) == 3:
            raise KeyboardInterrupt
        write(self, *values)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FeatureWriter, "write", interrupted)
        extract(backbone, tmp_path / "photos", names, cut, views=2)
    assert read_manifest(cut).rows_done == 8
    with pytest.raises(DataError, match="stopped at 8 of 11"):
        FeatureStore(cut, trainable_layers=2)

    extract(backbone, tmp_path / "photos", names, cut, views=2)
    for name in ("regions.npy", "context.npy", "maps.npy", "manifest.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_a_store_for_other_trainable_layers_is_left_alone(tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 2)
    extract(ConvBackbone(1), tmp_path / "photos", names, tmp_path / "store")
    before = (tmp_path / "store" / "maps.npy").read_bytes()
    for other in (0, 2):
        with pytest.raises(DataError, match="other trainable_layers"):
            extract(ConvBackbone(other), tmp_path / "photos", names, tmp_path / "store")
    assert (tmp_path / "store" / "maps.npy").read_bytes() == before


@pytest.mark.slow
def test_maps_of_efficientnet_lite(tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 3)
    backbone = load_backbone("efficientnet-lite2", grid=2, size=96, trainable_layers=5).eval()
    store = extract(backbone, tmp_path / "photos", names, tmp_path / "store", views=2)
    assert_maps(store, backbone, tmp_path / "photos", names)
