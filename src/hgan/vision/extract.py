"""Extract features of photos to a feature store, with decoding threads and ONNX Runtime."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from hgan.chunks import chunks
from hgan.data.features.manifest import Manifest
from hgan.data.features.mosaics import quarters
from hgan.data.features.store import FeatureStore, FeatureWriter
from hgan.errors import ConfigError, DataError
from hgan.files import NO_LOCKS, lock_file
from hgan.progress import Bar, console, progress
from hgan.runtime.stream import stream
from hgan.torch_device import torch_device
from hgan.vision.backbone import Backbone, grid_boxes
from hgan.vision.mosaics import open_row
from hgan.vision.onnx_export import export_onnx
from hgan.vision.views import view

BATCH, DEVICE_BATCH = 8, 64
"""Photos in a batch on a processor and on a GPU. On a processor, small batches fit in the caches
(140 photos per second with 8, 57 with 64)."""
FLUSH_EVERY = 500
"""Photos between two flushes to disk; an interruption loses at most this many."""
MOST_SKIPPED = 0.1
"""Largest share of photos that can be missing or unreadable. Above it, the folder is probably the
wrong one, or not complete."""


def extract(
    backbone: Backbone, photos: Path, ids: Iterable[str], folder: Path, views: int = 1
) -> FeatureStore:
    """Extract region features of photos into a store, or resume an interrupted extraction.

    Photos that cannot be read are skipped, and tried again by the next extraction. While another
    process writes the store, this one waits.

    Args:
        backbone: the frozen network.
        photos: the folder of the photos.
        ids: paths of the photos relative to this folder, one for each row of the store; or of
            mosaics, see `hgan.data.features.mosaics`.
        folder: the folder of the store.
        views: number of views of each photo, see `hgan.vision.views`.

    Raises:
        DataError: the folder contains a store with other settings, or more than a tenth of the
            photos are missing (nothing is written then) or cannot be read.
        ConfigError: the whole backbone is trained, so that there is nothing frozen to extract.
    """
    if backbone.trainable_layers is None:
        raise ConfigError(
            "vision.trainable_layers: null trains the whole backbone, so that no features can be "
            "stored; set it to a number of layers"
        )
    manifest = Manifest(
        backbone=backbone.name,
        size=backbone.size,
        boxes=grid_boxes(backbone.grid).tolist(),
        width=backbone.width,
        context_width=backbone.context_width,
        views=views,
        ids=list(ids),
        trainable_layers=backbone.trainable_layers,
        map_shape=_map_shape(backbone),
    )
    if not (folder / "manifest.json").exists():
        check_folder(photos, manifest.ids)
    with _only_writer(folder), FeatureWriter(folder, manifest) as writer:
        encoder = _Encoder(backbone, writer.manifest, photos)
        _retry(writer, encoder)
        if not writer.finished:
            _fill(writer, encoder)
        check_skipped(folder, writer.manifest.skipped, len(writer.manifest.ids))
        if not writer.finished:
            writer.finish()
    return FeatureStore(folder, backbone.name, False, backbone.trainable_layers)


def check_folder(photos: Path, ids: Sequence[str]) -> None:
    """Raise `DataError` if this cannot be the folder of the photos."""
    if not photos.is_dir():
        raise DataError(f"{photos}: no such folder; set data.photos to the folder of the photos")
    names = list(dict.fromkeys(name for key in ids for name in quarters(key)))
    missing = [name for name in names if not (photos / name).exists()]
    if len(missing) > MOST_SKIPPED * len(names):
        raise DataError(
            f"{photos}: {len(missing):,} of {len(names):,} photos are not in this folder, the "
            f"first is {missing[0]}; set data.photos to the folder that the names in the caption "
            "file are relative to, or remove these photos from the caption file"
        )


def check_skipped(folder: Path, skipped: Mapping[str, str], total: int) -> None:
    """Raise `DataError` if too many of the photos could not be read; `skipped` has the reasons."""
    if len(skipped) > MOST_SKIPPED * total:
        raise DataError(
            f"{folder}: {len(skipped):,} of {total:,} photos could not be read, the first: "
            f"{next(iter(skipped.values()))}; repair them, or remove them from the caption file "
            "(`hgan data check` lists them), and start again"
        )


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a store, for which this process may have to wait."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        try:
            file = lock_file(folder / "lock")
        except BlockingIOError:
            console.print(f"{folder}: waiting for another process that extracts", markup=False)
            file = lock_file(folder / "lock", wait=inf)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        yield
        return
    with file:
        yield


@torch.inference_mode()
def _map_shape(backbone: Backbone) -> list[int]:
    """Shape of the input of the trained layers; empty if there are none."""
    if not backbone.trainable_layers:
        return []
    pixels = torch.zeros(1, backbone.size, backbone.size, 3, dtype=torch.uint8)
    maps = backbone(pixels).maps
    assert maps is not None
    return list(maps.shape[1:])


def backbone_session(backbone: Backbone) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session of a backbone; its input is uint8 pixels, its outputs are regions,
    context and, if layers are trained, their input."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "backbone.onnx"
        pixels = torch.zeros(2, backbone.size, backbone.size, 3, dtype=torch.uint8)
        outputs = ["regions", "context"] + ["maps"] * (backbone.trainable_layers != 0)
        export_onnx(backbone, {"pixels": pixels}, {"pixels": ("batch",)}, outputs, path)
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


Run = Callable[[np.ndarray], Sequence[np.ndarray]]
"""Regions, context and, if layers are trained, their input, for pixels (B, size, size, 3) uint8."""


def backbone_run(backbone: Backbone, device: torch.device) -> Run:
    """A function that runs a backbone: on a processor by ONNX Runtime, which is faster there, if
    there is anything frozen to run."""
    if device.type == "cpu" and backbone.trainable_layers is not None:
        session = backbone_session(backbone)
        return lambda pixels: session.run(None, {"pixels": pixels})
    return torch_run(backbone, device)


def torch_run(backbone: Backbone, device: torch.device) -> Run:
    """A function that runs a backbone by torch."""
    network = backbone.eval().to(device)

    @torch.inference_mode()
    def run(pixels: np.ndarray) -> list[np.ndarray]:
        found = network(torch.from_numpy(pixels).to(device))
        parts = (found.regions, found.context, found.maps)
        floats = (p.float() if p.is_floating_point() else p for p in parts if p is not None)
        return [part.cpu().numpy() for part in floats]

    return run


@dataclass(frozen=True)
class _Rows:
    """Rows of a store for n photos; those of skipped photos are zero."""

    regions: np.ndarray
    """(n, V, R, D)"""
    context: np.ndarray
    """(n, V, D), or (n, V, P) for embeddings"""
    maps: np.ndarray | None
    """(n, V, ...): input of the trained layers; None if none is trained"""
    skipped: dict[str, str]
    """Error message of each photo that cannot be read."""


class _Encoder:
    """Computes the rows of photos; the backbone is exported when the first one has been read."""

    def __init__(self, backbone: Backbone, manifest: Manifest, photos: Path) -> None:
        self._backbone, self._manifest, self._photos = backbone, manifest, photos

        self._device = torch_device()
        self._batch = BATCH if self._device.type == "cpu" else DEVICE_BATCH

    @cached_property
    def _run(self) -> Run:
        return backbone_run(self._backbone, self._device)

    def __call__(self, keys: Sequence[str], bar: Bar) -> _Rows:
        made = self._manifest
        shape = len(keys), made.views
        regions = np.zeros((*shape, len(made.boxes), made.width), np.float32)
        context = np.zeros((*shape, made.context_width or made.width), np.float32)
        maps = np.zeros((*shape, *made.map_shape), np.float32) if made.map_shape else None
        position = {key: i for i, key in enumerate(keys)}
        skipped: dict[str, str] = {}
        for batch in stream(keys, self._load, self._batch):
            skipped |= {key: str(error) for key, error in batch.failed}
            rows = [position[key] for key in batch.items]
            for v, group in _groups(batch.arrays):
                out = self._run(group)
                regions[rows, v], context[rows, v] = out[:2]
                if maps is not None:
                    maps[rows, v] = out[2]
            bar.advance(len(batch.items) + len(batch.failed))
        return _Rows(regions, context, maps, skipped)

    def _load(self, key: str) -> np.ndarray:
        """The views of a photo or of a mosaic, (V, size, size, 3) uint8."""
        preprocessing = self._backbone.preprocessing
        photo = open_row(self._photos, key, preprocessing.size)
        views = range(self._manifest.views)
        return np.stack([preprocessing.pixels(view(photo, v, key)) for v in views])


def _fill(writer: FeatureWriter, encoder: _Encoder) -> None:
    """Write the rows that are missing."""
    ids, done = writer.manifest.ids, writer.manifest.rows_done
    with progress("extract", total=len(ids), unit="photos") as bar:
        bar.advance(done)
        for keys in chunks(ids[done:], FLUSH_EVERY):
            rows = encoder(keys, bar)
            writer.write(rows.regions, rows.context, rows.skipped, rows.maps)
            writer.flush()


def _retry(writer: FeatureWriter, encoder: _Encoder) -> None:
    """Write the rows of photos that an earlier extraction skipped, and that can be read now."""
    if not (again := list(writer.manifest.skipped)):
        return
    with progress("skipped before", total=len(again), unit="photos") as bar:
        for keys in chunks(again, FLUSH_EVERY):
            rows = encoder(keys, bar)
            for i, key in enumerate(keys):
                if key not in rows.skipped:
                    maps = None if rows.maps is None else rows.maps[i]
                    writer.rewrite(key, rows.regions[i], rows.context[i], maps)
            writer.manifest.skipped.update(rows.skipped)  # the reasons can be others now
            writer.flush()


def _groups(arrays: list[np.ndarray]) -> Iterable[tuple[int, np.ndarray]]:
    """The number of each view, and its pixels (n, size, size, 3)."""
    if arrays:
        stacked = np.stack(arrays)  # (n, V, size, size, 3)
        for v in range(stacked.shape[1]):
            yield v, np.ascontiguousarray(stacked[:, v])
