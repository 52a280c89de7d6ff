"""Feature stores with the input of trained layers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hgan.data.features.store import FeatureStore, FeatureWriter
from hgan.errors import DataError
from tests.fixtures.feature_store import (
    CONTEXT,
    RANDOM,
    REGIONS,
    SKIPPED,
    N,
    V,
    contents,
    edit,
    manifest,
)

MAPS = RANDOM.normal(size=(N, V, 2, 3, 3)).astype(np.float32)
MAPS[5] = 0
TRAINED = {"trainable_layers": 4, "map_shape": [2, 3, 3]}


@pytest.fixture
def with_maps(tmp_path: Path) -> Path:
    with FeatureWriter(tmp_path / "maps", manifest(**TRAINED)) as writer:
        writer.write(REGIONS[:3], CONTEXT[:3], {}, MAPS[:3])
        writer.write(REGIONS[3:], CONTEXT[3:], SKIPPED, MAPS[3:])
        writer.finish()
    return tmp_path / "maps"


def test_maps_are_read_only_if_blocks_are_trained(with_maps: Path) -> None:
    store = FeatureStore(with_maps, trainable_layers=4)
    rows, views = np.array([6, 0, 3]), np.array([1, 0, 1])
    found = store.read(rows, views)
    np.testing.assert_array_equal(found.maps, MAPS.astype(np.float16)[rows, views])
    np.testing.assert_array_equal(found.regions, REGIONS.astype(np.float16)[rows, views])
    assert found.maps.dtype == np.float32
    frozen = FeatureStore(with_maps)
    assert frozen.maps is None and frozen.read(rows, views).maps is None
    assert sorted(contents(with_maps)) == [
        "context.npy", "manifest.json", "maps.npy", "regions.npy",
    ]  # fmt: skip


def test_a_store_for_other_trainable_layers(with_maps: Path, folder: Path) -> None:
    for store, made in ((with_maps, 4), (folder, 0)):
        words = f"{store.name}: made for {made} trained layers .*layers is 5; extract again"
        with pytest.raises(DataError, match=words):
            FeatureStore(store, trainable_layers=5)


def test_a_manifest_from_before_there_were_trainable_layers_and_embeddings(folder: Path) -> None:
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    del values["trainable_layers"], values["map_shape"], values["checksums"]["manifest"]
    del values["context_width"]
    path.write_text(json.dumps(values))
    store = FeatureStore(folder, "net-1")
    assert (store.manifest.trainable_layers, store.manifest.map_shape) == (0, [])
    assert store.context_width == 0
    np.testing.assert_array_equal(store.regions, REGIONS.astype(np.float16))
    with FeatureWriter(folder, manifest()) as writer:
        assert writer.finished


@pytest.mark.parametrize(
    "changes",
    [{"map_shape": []}, {"trainable_layers": 0}, {"map_shape": [2, 3]}, {"map_shape": [2, 3, "a"]}],
)
def test_maps_that_do_not_fit_the_manifest(with_maps: Path, changes: dict[str, Any]) -> None:
    edit(with_maps, **changes)
    with pytest.raises(DataError):
        FeatureStore(with_maps, trainable_layers=4)


def test_damaged_maps(with_maps: Path) -> None:
    path = with_maps / "maps.npy"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"maps\.npy: damaged"):
        FeatureStore(with_maps, trainable_layers=4)
    path.unlink()
    with pytest.raises(DataError, match=r"maps\.npy"):
        FeatureStore(with_maps, verify=False, trainable_layers=4)


def test_maps_must_be_given_where_they_are_expected_and_only_there(tmp_path: Path) -> None:
    """Without this check, their rows would be zero."""
    with FeatureWriter(tmp_path / "a", manifest(**TRAINED)) as writer:
        with pytest.raises(DataError, match="has regions, context, maps, but regions, context"):
            writer.write(REGIONS, CONTEXT, {})
        with pytest.raises(DataError, match="maps of shape"):
            writer.write(REGIONS, CONTEXT, {}, MAPS[:, :1])
        bad = MAPS.copy()
        bad[2, 0, 1] = np.inf
        with pytest.raises(DataError, match=r"^2\.jpg: its maps features are not finite"):
            writer.write(REGIONS, CONTEXT, {}, bad)
        assert writer.manifest.rows_done == 0
    with (
        FeatureWriter(tmp_path / "b", manifest()) as writer,
        pytest.raises(DataError, match="has regions, context, but"),
    ):
        writer.write(REGIONS, CONTEXT, {}, MAPS)


@pytest.mark.parametrize(
    "changes", [{"trainable_layers": 3}, {"map_shape": [2, 4, 4]}], ids=lambda c: next(iter(c))
)
def test_a_store_for_other_blocks_is_not_continued(
    with_maps: Path, changes: dict[str, Any]
) -> None:
    before = contents(with_maps)
    with pytest.raises(DataError, match=f"other {next(iter(changes))}"):
        FeatureWriter(with_maps, manifest(**(TRAINED | changes)))
    assert contents(with_maps) == before


def test_a_store_of_an_older_version_with_maps_is_read(with_maps: Path) -> None:
    """When the setting had another name."""
    path = with_maps / "manifest.json"
    path.write_text(path.read_text().replace('"trainable_layers"', '"trained_blocks"'))
    values = json.loads(path.read_text())
    del values["checksums"]["manifest"]
    path.write_text(json.dumps(values))
    assert FeatureStore(with_maps, trainable_layers=4).manifest.trainable_layers == 4
