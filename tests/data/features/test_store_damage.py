"""Feature stores that are damaged, incomplete, or of other photos are refused."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hgan.data.features.manifest import FORMAT_VERSION
from hgan.data.features.store import FeatureStore, FeatureWriter
from hgan.errors import DataError
from tests.fixtures.feature_store import (
    REGIONS,
    N,
    R,
    append,
    contents,
    edit,
    manifest,
)


def test_another_backbone(folder: Path) -> None:
    with pytest.raises(DataError, match=r"net-1.*net-2"):
        FeatureStore(folder, "net-2")


def test_an_unfinished_store(tmp_path: Path) -> None:
    with FeatureWriter(tmp_path, manifest()) as writer:
        append(writer, 3)
        with pytest.raises(DataError, match="3 of 7"):
            writer.finish()
    with pytest.raises(DataError, match="stopped at 3 of 7"):
        FeatureStore(tmp_path)


def test_no_store(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="no feature store"):
            FeatureStore(path)


@pytest.mark.parametrize("name", ["regions.npy", "context.npy", "manifest.json"])
def test_a_damaged_byte_anywhere_in_a_file(folder: Path, name: str) -> None:
    path = folder / name
    data = path.read_bytes()
    for place in range(len(data)):
        for bit in (1, 32, 64):
            damaged = bytearray(data)
            damaged[place] ^= bit
            path.write_bytes(damaged)
            with pytest.raises(DataError):
                FeatureStore(folder)
    path.write_bytes(data)
    FeatureStore(folder)


def test_an_older_manifest_has_no_checksum_of_its_own(folder: Path) -> None:
    edit(folder)
    assert set(FeatureStore(folder).manifest.checksums) == {"regions", "context"}
    edited = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(edited | {"checksums": {"regions": 0}}))
    with pytest.raises(DataError, match="checksums of regions"):
        FeatureStore(folder)


@pytest.mark.parametrize("name", ["regions", "context"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_feature_that_is_not_finite_is_found_when_it_is_read(
    folder: Path, name: str, value: float
) -> None:
    """A store from elsewhere, whose checksums are right."""
    array = np.load(folder / f"{name}.npy")
    array[4, 1, ..., 2] = value
    np.save(folder / f"{name}.npy", array)
    checksum = zlib.crc32((folder / f"{name}.npy").read_bytes())
    checksums = json.loads((folder / "manifest.json").read_text())["checksums"]
    del checksums["manifest"]
    edit(folder, checksums=checksums | {name: checksum})
    store = FeatureStore(folder)
    store.read(np.array([3, 4]), np.array([0, 0]))
    with pytest.raises(DataError, match=rf"{name}\.npy: features of 4\.jpg are not .* view 1"):
        store.read(np.array([3, 4]), np.array([0, 1]))


def test_a_truncated_file(folder: Path) -> None:
    for name, data in contents(folder).items():
        for length in (0, 1, 5, 9, 40, 127, 128, 129, len(data) // 2, len(data) - 1):
            if name != "manifest.json" or length < len(data) - 1:  # there, a line end
                (folder / name).write_bytes(data[:length])
                with pytest.raises(DataError):
                    FeatureStore(folder, verify=False)
                with pytest.raises(DataError):
                    FeatureWriter(folder, manifest())
        (folder / name).unlink()
        with pytest.raises(DataError):
            FeatureStore(folder, verify=False)
        (folder / name).write_bytes(data)
    FeatureStore(folder)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (REGIONS, "float32"),
        (REGIONS.astype(np.int16), "int16"),
        (REGIONS[..., :-1].astype(np.float16), "manifest says"),
        (REGIONS[:-1].astype(np.float16), "manifest says"),
        (REGIONS[:, 0].astype(np.float16), "manifest says"),
        (np.array([{"a": 1}], dtype=object), "damaged"),
    ],
)
def test_an_array_of_another_type_or_shape(folder: Path, array: np.ndarray, words: str) -> None:
    np.save(folder / "regions.npy", array, allow_pickle=array.dtype == object)
    with pytest.raises(DataError, match=words):
        FeatureStore(folder, verify=False)


def test_an_archive_is_no_array(folder: Path) -> None:
    np.savez(folder / "regions.npz", a=REGIONS)
    (folder / "regions.npz").rename(folder / "regions.npy")
    with pytest.raises(DataError, match="damaged"):
        FeatureStore(folder, verify=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"format_version": FORMAT_VERSION + 1},
        {"format_version": "1"},
        {"ids": None},
        {"ids": ["0.jpg"] * N},
        {"width": "4"},
        {"boxes": [[0, 0, 1]] * R},
        {"boxes": [[0, 0, 1, 1], [0, 0], [0, 0, 1, 1]]},
        {"skipped": []},
        {"rows_done": N + 1},
        {"colour": "red"},
    ],
)
def test_a_manifest_that_cannot_be(folder: Path, changes: dict[str, Any]) -> None:
    edit(folder, **changes)
    with pytest.raises(DataError):
        FeatureStore(folder)
    with pytest.raises(DataError):
        FeatureWriter(folder, manifest())


def test_a_newer_format_is_named(folder: Path) -> None:
    edit(folder, format_version=2)
    with pytest.raises(DataError, match="format version 2, but this version of hgan reads 1"):
        FeatureStore(folder)


@pytest.mark.parametrize("name", ["skipped", "checksums", "rows_done", "ids"])
def test_a_manifest_without_another_field_is_refused(folder: Path, name: str) -> None:
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    del values[name]
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match="not a manifest"):
        FeatureStore(folder)
