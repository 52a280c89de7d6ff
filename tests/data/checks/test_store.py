"""Checks of a feature store: damage, and features that are not finite or zero."""

import json
import zlib
from pathlib import Path

import numpy as np

from hgan.data.checks.check import check
from hgan.data.checks.report import Finding
from hgan.data.features.manifest import Manifest
from hgan.data.features.store import FeatureWriter
from tests.fixtures.check_data import only_finding


def store(folder: Path, regions: np.ndarray) -> Path:
    n, views, _, width = regions.shape
    manifest = Manifest("net", 8, [[0, 0, 1, 1]], width, views, [f"{i}.jpg" for i in range(n)])
    with FeatureWriter(folder, manifest) as writer:
        writer.write(regions, regions[:, :, 0], {f"{n - 1}.jpg": "truncated"})
        writer.finish()
    return folder


def test_a_feature_store(tmp_path: Path) -> None:
    features = np.ones((4, 2, 1, 3), np.float32)
    features[3] = 0  # the skipped one
    report = check(store(tmp_path / "good", features))
    assert report.ok
    assert report.counts == {"net": {"photos": 4, "views": 2, "regions": 1, "width": 3}}
    assert only_finding(report) == Finding("photo skipped", "warning", 1, ["3.jpg: truncated"])

    features[1] = 0
    report = check(store(tmp_path / "zeros", features))
    assert not report.ok
    assert report.findings[1] == Finding("features all zero", "error", 1, ["row 1: 1.jpg"])


def test_a_damaged_feature_store(tmp_path: Path) -> None:
    folder = store(tmp_path, np.ones((4, 2, 1, 3), np.float32))
    data = bytearray((folder / "regions.npy").read_bytes())
    data[-1] ^= 1
    (folder / "regions.npy").write_bytes(data)
    report = check(folder)
    assert not report.ok
    assert "checksum" in only_finding(report).examples[0]


def test_features_that_are_not_finite(tmp_path: Path) -> None:
    """The writer refuses them; another program's store may hold them, checksums and all."""
    folder = store(tmp_path, np.ones((4, 2, 1, 3), np.float32))
    array = np.load(folder / "regions.npy")
    array[2, 1, 0, 1] = np.nan
    np.save(folder / "regions.npy", array)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["checksums"]["regions"] = zlib.crc32((folder / "regions.npy").read_bytes())
    del manifest["checksums"]["manifest"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    report = check(folder)
    assert not report.ok
    assert report.findings[-1] == Finding("features not finite", "error", 1, ["row 2: 2.jpg"])
