"""The manifest of a feature store: what its rows are, how they were made, and their checksums."""

import json
import zlib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, cast, get_origin

import numpy as np

from hgan.config import OLD_KEYS
from hgan.errors import DataError
from hgan.files import parse_json, write_json

FORMAT_VERSION = 1
FIELDS = "manifest"
"""Name of the checksum of the manifest's other fields."""
_NEW_FIELDS: dict[str, object] = {"trainable_layers": 0, "map_shape": [], "context_width": 0}
"""Fields that older manifests do not have, with the values that they stand for."""


@dataclass
class Manifest:
    """The content of a feature store, and how it was made."""

    backbone: str
    """`name` of the backbone (weights and architecture)."""
    size: int
    """Side of the backbone's input photos in pixels."""
    boxes: list[list[float]]
    """(R, 4): box of each region, x0 y0 x1 y1 in 0..1."""
    width: int
    """D, width of a feature."""
    views: int
    """V, number of views of each photo."""
    ids: list[str]
    """(N) for each row, the path of its photo relative to the photo folder."""
    trainable_layers: int = 0
    """Number of the backbone's last layers that are trained."""
    map_shape: list[int] = field(default_factory=list)
    """Shape of the input of the trained layers; empty if there are none."""
    context_width: int = 0
    """P, width of a context that is the embedding of a dual encoder; 0 for contexts of width D."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Photos that could not be read, with the error; their rows are zero."""
    checksums: dict[str, int] = field(default_factory=dict)
    """CRC-32 of each array file, and of the other fields; empty until the extraction is complete.
    Older stores have none of the other fields."""
    rows_done: int = 0
    """Number of rows written so far."""
    format_version: int = FORMAT_VERSION


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a store.

    Raises:
        DataError: it is missing, not JSON, lacks a field, or is of a newer format.
    """
    path = folder / "manifest.json"
    try:
        stored = parse_json(path.read_text(encoding="utf-8"))
        values = _NEW_FIELDS | {OLD_KEYS.get(key, key): x for key, x in stored.items()}
        version = values["format_version"]
        if version != FORMAT_VERSION:
            raise DataError(
                f"{path}: format version {version}, but this version of hgan reads {FORMAT_VERSION}"
            )
        manifest = Manifest(**values)
        for entry in fields(Manifest):
            kind = cast(type, get_origin(entry.type) or entry.type)
            if not isinstance(value := values.get(entry.name), kind):
                raise TypeError(f"{entry.name} is {str(value)[:40]}, not of type {kind.__name__}")
        _check_checksums(manifest, stored)
        check_ids(manifest)
        if np.asarray(manifest.boxes, dtype=np.float32).shape != (len(manifest.boxes), 4):
            raise ValueError("a box is not x0 y0 x1 y1")
        if len(manifest.map_shape) not in ((2, 3) if manifest.trainable_layers else (0,)):
            raise ValueError(
                f"maps of shape {manifest.map_shape} for {manifest.trainable_layers} trained layers"
            )
        if not 0 <= manifest.rows_done <= len(manifest.ids):
            raise ValueError(f"{manifest.rows_done} rows done of {len(manifest.ids)}")
        return manifest
    except FileNotFoundError as error:
        raise DataError(
            f"{folder}: no feature store here; create one with `hgan extract`"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: not a manifest of a feature store ({error}); remove {folder} and extract "
            "again"
        ) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a store; if it has checksums, that of its fields is computed."""
    values = asdict(manifest)
    if FIELDS in manifest.checksums:
        values["checksums"][FIELDS] = _fields_crc32(values)
    write_json(folder / "manifest.json", values)


def _check_checksums(manifest: Manifest, values: dict[str, Any]) -> None:
    """Raise `ValueError` if the fields of a finished store are not those that were written."""
    if not (checksums := manifest.checksums):
        return
    if not shapes(manifest).keys() <= checksums.keys() <= {*shapes(manifest), FIELDS}:
        raise ValueError(f"checksums of {', '.join(checksums)}")
    if checksums.get(FIELDS, known := _fields_crc32(values)) != known:
        raise ValueError("damaged, its checksum differs")


def _fields_crc32(values: dict[str, Any]) -> int:
    """The checksum of a manifest's fields, as they are in the file."""
    kept = values | {"checksums": {k: x for k, x in values["checksums"].items() if k != FIELDS}}
    return zlib.crc32(json.dumps(kept, sort_keys=True).encode())


def shapes(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """The shape of each array file."""
    n, v, r, d = len(manifest.ids), manifest.views, len(manifest.boxes), manifest.width
    whole = manifest.context_width or d
    shapes: dict[str, tuple[int, ...]] = {"regions": (n, v, r, d), "context": (n, v, whole)}
    if manifest.map_shape:
        shapes["maps"] = (n, v, *manifest.map_shape)
    return shapes


def check_ids(manifest: Manifest) -> None:
    """Raise `DataError` if a photo is listed twice."""
    seen: set[str] = set()
    for key in manifest.ids:
        if key in seen:
            raise DataError(f"{key}: listed twice, but a feature store has one row for each photo")
        seen.add(key)
