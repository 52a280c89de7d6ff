"""Extract features of photos to a feature store, with decoding threads and ONNX Runtime."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from hgan.chunks import chunks
from hgan.data.features.mosaics import quarters
from hgan.data.features.store import FeatureStore, FeatureWriter, Manifest
from hgan.progress import progress
from hgan.runtime.images import open_photo, to_pixels
from hgan.runtime.stream import stream
from hgan.vision.backbone import Backbone, grid_boxes
from hgan.vision.mosaics import make_mosaic
from hgan.vision.onnx_export import export_onnx
from hgan.vision.views import view

BATCH = 8
"""Photos in a batch. On CPUs, small batches fit in the cache (140 photos per second with 8, 57 with
64)."""
FLUSH_EVERY = 500
"""Photos between two flushes to disk; an interruption loses at most this many."""


def extract(
    backbone: Backbone, photos: Path, ids: Iterable[str], folder: Path, views: int = 1
) -> FeatureStore:
    """Extract region features of photos into a store, or resume an interrupted extraction.

    Args:
        backbone: the frozen network.
        photos: the folder of the photos.
        ids: paths of the photos relative to this folder, one for each row of the store; or of
            mosaics, see `hgan.data.features.mosaics`.
        folder: the folder of the store.
        views: number of views of each photo, see `hgan.vision.views`.

    Raises:
        DataError: the folder contains a store with other settings.
    """
    manifest = Manifest(
        backbone=backbone.name,
        size=backbone.size,
        boxes=grid_boxes(backbone.grid).tolist(),
        width=backbone.width,
        views=views,
        ids=list(ids),
        trained_blocks=backbone.trained_blocks,
        map_shape=_map_shape(backbone),
    )
    with FeatureWriter(folder, manifest) as writer:
        if not writer.finished:
            session = backbone_session(backbone)
            _fill(writer, session, backbone.size, photos)
            writer.finish()
    return FeatureStore(folder, backbone.name, False, backbone.trained_blocks)


@torch.inference_mode()
def _map_shape(backbone: Backbone) -> list[int]:
    """C, h, w of the input of the trained blocks; empty if there are none."""
    if not backbone.trained_blocks:
        return []
    pixels = torch.zeros(1, backbone.size, backbone.size, 3, dtype=torch.uint8)
    maps = backbone(pixels).maps
    assert maps is not None
    return list(maps.shape[1:])


def backbone_session(backbone: Backbone) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session of a backbone; its input is uint8 pixels, its outputs are regions,
    context and, if blocks are trained, their input."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "backbone.onnx"
        pixels = torch.zeros(2, backbone.size, backbone.size, 3, dtype=torch.uint8)
        outputs = ["regions", "context"] + ["maps"] * bool(backbone.trained_blocks)
        export_onnx(backbone, {"pixels": pixels}, {"pixels": ("batch",)}, outputs, path)
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def _fill(
    writer: FeatureWriter, session: onnxruntime.InferenceSession, size: int, photos: Path
) -> None:
    manifest = writer.manifest
    r, d, views = len(manifest.boxes), manifest.width, manifest.views

    def load(key: str) -> np.ndarray:  # (V, size, size, 3) uint8
        found = [open_photo(photos / name) for name in quarters(key)]
        photo = found[0] if len(found) == 1 else make_mosaic(found, (size + 1) // 2)
        return np.stack([to_pixels(view(photo, v, key), size) for v in range(views)])

    todo = manifest.ids[manifest.rows_done :]
    with progress("extract", total=len(manifest.ids), unit="photos") as bar:
        bar.advance(manifest.rows_done)
        for keys in chunks(todo, FLUSH_EVERY):
            regions = np.zeros((len(keys), views, r, d), np.float32)
            context = np.zeros((len(keys), views, d), np.float32)
            maps = np.zeros((len(keys), views, *manifest.map_shape), np.float32)
            position = {key: i for i, key in enumerate(keys)}
            skipped: dict[str, str] = {}
            for batch in stream(keys, load, BATCH):
                skipped |= {key: str(error) for key, error in batch.failed}
                for v, group in _groups(batch.arrays):
                    out = session.run(None, {"pixels": group})
                    rows = [position[key] for key in batch.items]
                    regions[rows, v], context[rows, v] = out[:2]
                    if manifest.map_shape:
                        maps[rows, v] = out[2]
                bar.advance(len(batch.items) + len(batch.failed))
            writer.write(regions, context, skipped, maps if manifest.map_shape else None)
            writer.flush()


def _groups(arrays: list[np.ndarray]) -> Iterable[tuple[int, np.ndarray]]:
    """The number of each view, and its pixels (n, size, size, 3)."""
    if arrays:
        stacked = np.stack(arrays)  # (n, V, size, size, 3)
        for v in range(stacked.shape[1]):
            yield v, np.ascontiguousarray(stacked[:, v])
