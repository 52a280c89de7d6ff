"""Fewer regions per photo: means of neighbours compared with plain loops, and invalid numbers."""

import numpy as np
import pytest

from hgan.errors import ConfigError
from hgan.runtime.bundle import Bundle
from hgan.runtime.region_grid import PooledBundle, pool_regions, pooled
from tests.fixtures.tiny_bundle import SIZE, write_tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.load(write_tiny_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.mark.parametrize("side", [1, 2, 3, 6])
def test_regions_are_directions_of_means(side):
    rng = np.random.default_rng(side)
    local = rng.normal(size=(4, 36, 5)).astype(np.float32)
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    found = pool_regions(local, 6, side)
    assert found.shape == (4, side * side, 5)
    block = 6 // side
    for photo in range(4):
        for y in range(side):
            for x in range(side):
                mean = sum(
                    local[photo, 6 * (y * block + down) + x * block + right].astype(np.float64)
                    for down in range(block)
                    for right in range(block)
                )
                expected = mean / np.linalg.norm(mean)
                np.testing.assert_allclose(found[photo, side * y + x], expected, atol=1e-5)


def test_pooled_regions_are_as_long_as_those_of_their_block():
    local = np.random.default_rng(0).normal(size=(2, 16, 5)).astype(np.float32)
    found = np.linalg.norm(pool_regions(local, 4, 2), axis=-1)
    lengths = np.linalg.norm(local, axis=-1).reshape(2, 2, 2, 2, 2)
    np.testing.assert_allclose(found, lengths.mean(axis=(2, 4)).reshape(2, 4), rtol=1e-5)
    short = pool_regions(0.6 * local, 4, 2)
    np.testing.assert_allclose(short, 0.6 * pool_regions(local, 4, 2), rtol=1e-5, atol=1e-6)


def test_opposite_regions_have_no_direction():
    local = np.array([[[1, 0], [-1, 0], [1, 0], [-1, 0]]], np.float32)
    assert np.isfinite(pool_regions(local, 2, 1)).all()


def test_level_that_is_not_there():
    assert pool_regions(np.zeros((3, 4, 0), np.float32), 2, 1).shape == (3, 1, 0)


def test_bundle_with_fewer_regions(bundle):
    small = pooled(bundle, 1)
    assert small.config.boxes == [[0.0, 0.0, 1.0, 1.0]]
    assert (small.config.grid, small.id) == (1, bundle.id)
    photos = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    whole, found = bundle.encode_images(photos), small.encode_images(photos)
    assert found.local.shape == (3, 1, whole.local.shape[2])
    assert found.mask.all()
    np.testing.assert_array_equal(found.context, whole.context)
    np.testing.assert_array_equal(found.slots, whole.slots)
    np.testing.assert_array_equal(
        small.encode_texts(["red"]).local, bundle.encode_texts(["red"]).local
    )
    assert small.words("red snow") == bundle.words("red snow")


@pytest.mark.parametrize("regions", [None, 4])
def test_as_many_as_there_are(bundle, regions):
    assert pooled(bundle, regions) is bundle


@pytest.mark.parametrize("regions", [0, -1, 2, 9, 16])
def test_grids_that_do_not_divide(bundle, regions):
    with pytest.raises(ConfigError, match="1, 4"):
        PooledBundle(bundle, regions)
