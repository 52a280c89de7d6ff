"""Fuzz targets: features in SCAN's format, manifests, configurations of bundles, filters."""

import io
import json
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from hgan.data.features.precomp import PrecompFeatures
from hgan.errors import DataError
from hgan.index.conditions.filter import Filter
from hgan.index.store import edge, qdrant
from hgan.index.store.engine_filter import to_filter
from hgan.index.store.folder import read_manifest
from hgan.index.store.manifest import IndexManifest
from hgan.runtime.bundle import Bundle
from hgan.runtime.bundle_config import parse_config
from hgan.sources.open import place_of
from tests.fuzz.files import BETWEEN, folder, named, write, write_all
from tests.fuzz.harness import Target

_ARRAYS = "train_ids.txt", "train_ims.npy", "train_boxes.npy", "train_img_sizes.npy"
_JSON = (
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    '"',
    "null",
    "true",
    "1e9",
    "-1",
    "\\\\ud800",
    "NaN",
    "1e999",
)


def scan_features(data: bytes) -> None:
    """Open features in SCAN's format, and read all rows."""
    write_all([f"features/{name}" for name in _ARRAYS], data)
    with named(folder("features")):
        features = PrecompFeatures(folder("features"))
        rows = np.array(list(features.rows.values()))
        found = features.read(rows, np.zeros(len(rows), int))
    assert found.regions.shape[0] == len(rows) and found.regions.shape[2] == features.width
    assert np.isfinite(found.regions).all()
    assert found.boxes is None or ((found.boxes >= 0) & (found.boxes <= 1)).all()


def manifest(data: bytes) -> None:
    """Read the manifest of an index, and look for its bundle."""
    path = write("index/index.json", data)
    with named(path):
        found = read_manifest(path.parent)
        assert IndexManifest.parse(json.loads(json.dumps(asdict(found))), path) == found
    str(place_of(found.root)).encode("utf-8", "surrogateescape")
    if found.bundle_path is not None:
        Bundle.load(Path(found.bundle_path))


def bundle_config(data: bytes) -> None:
    """Parse the configuration of a bundle."""
    path = Path("bundle/config.json")
    with named(path):
        found = parse_config(path, data)
    assert abs(sum(found.weights.values()) - 1) <= 1e-3
    assert np.isfinite(np.array(found.boxes, np.float32)).all()
    assert found.name.encode()


def where(data: bytes) -> None:
    """Parse conditions, one a line, and write them as those of both engines."""
    found = Filter.parse(data.decode("utf-8", "surrogateescape").split("\n"))
    with suppress(DataError):  # a place that is not known
        to_filter(found, edge.DIALECT)
        if (request := to_filter(found, qdrant.DIALECT)) is not None:
            request.model_dump_json()
    assert Filter.parse(found.conditions()) == found


def _array(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(values))
    return file.getvalue()


def _features() -> list[bytes]:
    regions = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    boxes = np.tile(np.float32([1, 2, 6, 4]), (2, 2, 1))
    named_sizes = np.zeros(2, [("image_w", "i4"), ("image_h", "i4")])
    named_sizes["image_w"], named_sizes["image_h"] = 10, 5
    return [
        BETWEEN.join([b"7\n9\n", _array(regions)]),
        BETWEEN.join([b"7\n9\n", _array(regions.astype(np.float16)), _array(boxes),
                      _array([[10, 5], [10, 5]])]),
        BETWEEN.join([b"7\n7\n", _array(regions), _array(boxes.astype(np.int16)),
                      _array(named_sizes)]),
    ]  # fmt: skip


def _manifests() -> list[bytes]:
    plain = IndexManifest("/photos", "0123", "tiny", None, dense=12, local=6)
    more = IndexManifest(
        "s3://b/p", "0123", "tiny", None, 12, 6, quantize="int8", holds="texts", regions=4, points=9
    )
    return [json.dumps(asdict(one)).encode() for one in (plain, more)]


def _configs() -> list[bytes]:
    values = {
        "format_version": 1,
        "name": "tiny",
        "size": 16,
        "grid": 1,
        "boxes": [[0, 0, 1, 1]],
        "max_words": 8,
        "weights": {"context": 0.5, "shared": 0.25, "local": 0.25},
        "widths": {"context": 4, "slots": 2, "slot": 3, "local": 6},
        "files": dict.fromkeys(("image.onnx", "text.onnx", "tokenizer.json"), "0" * 64),
    }
    dual = values | {
        "files": values["files"] | {"patches.onnx": "0" * 64},
        "patches": {"model": "CLIP", "side": 2, "pixels": 8},
    }
    return [json.dumps(one).encode() for one in (values, dual)]


TARGETS = {
    "scan_features": Target(
        scan_features,
        _features,
        (
            "'descr': ",
            "'<f4'",
            "'|O'",
            "'fortran_order': True",
            "'shape': (",
            "\\x93NUMPY\\x01\\x00",
        ),
        longest=2**14,
    ),
    "index_manifest": Target(
        manifest, _manifests, (*_JSON, *(f'"{field.name}"' for field in fields(IndexManifest)))
    ),
    "bundle_config": Target(
        bundle_config,
        _configs,
        (*_JSON, '"weights"', '"widths"', '"files"', '"boxes"', '"patches"', '"format_version"'),
    ),
    "where": Target(
        where,
        lambda: [
            "folder=2023/italy\ntaken>=2023-06\ntaken<2023-07-01T12:30\ncamera=Canon EOS\n"
            "tag=été à deux\ntag=sea".encode()
        ],
        ("folder", "taken", "camera", "tag", ">=", "<=", "=", "..", "/", "9999", "-12", "T23:59"),
        longest=2**16,
    ),
}
