"""Features that are computed when photos are read, compared with a loop and with stored ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from hgan.config import DataConfig
from hgan.data.captions.read import read_captions
from hgan.data.features.mosaics import mosaic_ids
from hgan.errors import DataError
from hgan.runtime.images import open_photo
from hgan.vision.extract import extract
from hgan.vision.load import backbone_of
from hgan.vision.mosaics import make_mosaic
from hgan.vision.photos import NEW_VIEWS, PhotoFeatures, unreadable
from hgan.vision.views import recolour, view
from tests.fixtures.pixels import vision_of, write_pixels

pytestmark = pytest.mark.usefixtures("exported_once")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pixels") / "data"


@pytest.fixture(scope="module")
def data(folder: Path) -> DataConfig:
    return write_pixels(folder)


@pytest.fixture(scope="module")
def names(data: DataConfig) -> list[str]:
    return read_captions(data.captions).images


LITE = pytest.param("efficientnet-lite", marks=pytest.mark.slow)  # its export takes half a minute


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "trained"), [("efficientnet-lite", None), ("vit", None), ("vit", 1), ("clip", 1)]
)
def test_equals_a_naive_loop(
    kind: str, trained: int | None, data: DataConfig, names: list[str], folder: Path
) -> None:
    backbone = backbone_of(vision_of(kind, folder, trainable_layers=trained)).eval()
    features = PhotoFeatures(backbone, data.photos, names, colour=0.3)
    assert features.views == NEW_VIEWS and features.skipped == {}
    rows, views = np.array([5, 0, 5, 3, *range(4, 12)]), np.array([0, 7, 9, 1, *range(100, 108)])
    found = features.read(rows, views)
    for i, (row, number) in enumerate(zip(rows, views, strict=True)):
        key = names[row]
        pixels = backbone.preprocessing.pixels(view(open_photo(data.photos / key), number, key))
        if number:
            pixels = recolour(pixels, 0.3, f"{key} {number}")
        with torch.inference_mode():
            expected = backbone(torch.from_numpy(pixels.copy())[None])
        np.testing.assert_allclose(found.regions[i], expected.regions[0].numpy(), atol=1e-4)
        np.testing.assert_allclose(found.context[i], expected.context[0].numpy(), atol=1e-4)
        assert found.maps is not None and expected.maps is not None
        np.testing.assert_allclose(found.maps[i], expected.maps[0].numpy(), atol=1e-4)
    assert not np.allclose(found.context[0], found.context[2])  # another view of the same photo


@pytest.mark.parametrize("kind", ["vit", "clip", LITE])
def test_the_first_views_are_those_of_a_store(
    kind: str, data: DataConfig, names: list[str], folder: Path, tmp_path: Path
) -> None:
    """With the colours as they are; stored features are rounded to float16."""
    backbone = backbone_of(vision_of(kind, folder, trainable_layers=1)).eval()
    store = extract(backbone, data.photos, names, tmp_path / kind, views=3)
    features = PhotoFeatures(backbone, data.photos, names)
    assert features.rows == store.rows
    assert (features.width, features.context_width) == (store.width, store.context_width)
    np.testing.assert_array_equal(features.boxes, store.boxes)
    for number in range(3):
        rows = np.arange(len(names))
        views = np.full(len(names), number)
        for found, expected in zip(
            features.read(rows, views), store.read(rows, views), strict=True
        ):
            assert found is not None and expected is not None
            np.testing.assert_allclose(found, expected, atol=5e-3, rtol=2e-3)


def test_a_mosaic_is_four_photos(data: DataConfig, names: list[str], folder: Path) -> None:
    backbone = backbone_of(vision_of("vit", folder, trainable_layers=None)).eval()
    ids = mosaic_ids(names, 1)
    features = PhotoFeatures(backbone, data.photos, names).of(ids)
    found = features.read(np.array([2]), np.array([0])).maps
    photos = [open_photo(data.photos / name) for name in ids[2].split("\n")]
    np.testing.assert_array_equal(found[0], np.asarray(make_mosaic(photos, 16)))


def test_a_photo_that_disappears_is_named(data: DataConfig, names: list[str], folder: Path) -> None:
    backbone = backbone_of(vision_of("vit", folder, trainable_layers=None)).eval()
    features = PhotoFeatures(backbone, data.photos, [*names, "gone.jpg"])
    with pytest.raises(DataError, match=r"gone.jpg: "):
        features.read(np.array([1, len(names)]), np.array([0, 0]))


def test_photos_that_cannot_be_read_are_listed_before(tmp_path: Path) -> None:
    data = write_pixels(tmp_path / "data")
    names = read_captions(data.captions).images
    (data.photos / names[3]).write_bytes((data.photos / names[3]).read_bytes()[:700])
    preprocessing = backbone_of(vision_of("efficientnet-lite", tmp_path)).preprocessing
    found = unreadable(data.photos, names, preprocessing)
    assert list(found) == [names[3]] and "cannot be decoded" in found[names[3]]
    for name in names[4:6]:
        (data.photos / name).write_bytes(b"")
    with pytest.raises(DataError, match="3 of 20 photos could not be read"):
        unreadable(data.photos, names, preprocessing)
    for name in names[:3]:
        (data.photos / name).unlink()
    with pytest.raises(DataError, match=r"3 of 20 photos are not in this folder.*data\.photos"):
        unreadable(data.photos, names, preprocessing)


# --- colours


def test_colours_change_as_pillow_has_it_and_by_the_key_alone() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    assert np.array_equal(recolour(pixels, 0.0, "a"), pixels)
    found = [recolour(pixels, 0.5, key) for key in ("a", "a", "b")]
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])
    assert found[0].shape == pixels.shape and found[0].dtype == np.uint8
    grey = np.full((4, 4, 3), 100, np.uint8)
    changed = recolour(grey, 0.5, "c")  # a grey photo changes in brightness alone
    assert np.ptp(changed) == 0 and 50 <= changed[0, 0, 0] <= 150 and changed[0, 0, 0] != 100
    brighter = [int(recolour(grey, 0.2, str(i)).max()) for i in range(200)]
    assert 78 <= min(brighter) < 84 and 116 < max(brighter) <= 122
    darkest = ImageEnhance.Brightness(Image.fromarray(grey)).enhance(0.8)
    assert np.asarray(darkest)[0, 0, 0] == 80
