"""The feature store: region features of many photos in one memory-mapped float16 array.

A folder contains `regions.npy` (N, V, R, D), `context.npy` (N, V, D) and `manifest.json`; if layers
of the backbone are trained, also their input, `maps.npy`: (N, V, C, h, w) of a convolutional
network, (N, V, tokens, D) of a transformer. V is the number of views of a photo (original,
mirrored, cropped); evaluation uses view 0, the original.
"""

import zlib
from pathlib import Path
from types import TracebackType

import numpy as np

from hgan.data.features.manifest import (
    FIELDS,
    Manifest,
    check_ids,
    read_manifest,
    shapes,
    write_manifest,
)
from hgan.data.features.mosaics import quarters
from hgan.data.features.npy import open_npy
from hgan.data.features.row_writer import RowWriter
from hgan.data.features.types import RegionFeatures
from hgan.errors import DataError

_DTYPE = "<f2"
_SETTINGS = ("backbone", "size", "views", "boxes", "width", "ids", "trainable_layers", "map_shape",
             "context_width")  # fmt: skip
"""Fields of a manifest that must be equal to continue an extraction."""


class FeatureStore:
    """Reads features by row.

    Attributes:
        folder: the folder.
        manifest: the content of the store, and how it was made.
        regions: (N, V, R, D) float16, memory-mapped, read-only.
        context: (N, V, D) float16, memory-mapped, read-only; (N, V, P) for embeddings.
        maps: (N, V, ...) float16, memory-mapped, read-only; None if no layer is trained.
        boxes: (R, 4) float32.
        rows: the row of each photo, without skipped photos.
        skipped: the skipped photos, with the reason.
        width: D.
        context_width: P of a dual encoder's embeddings; 0 if contexts are of width D.
        views: V.
    """

    def __init__(
        self,
        folder: Path,
        backbone: str | None = None,
        verify: bool = True,
        trainable_layers: int = 0,
    ) -> None:
        """Open a store.

        Args:
            folder: a folder written by `hgan extract`.
            backbone: the required backbone; None accepts any.
            verify: read all files once and check their checksums.
            trainable_layers: the required number of trained layers, whose input is read too; 0 fits
                any store, and their input is not read.

        Raises:
            DataError: the store is missing, incomplete, damaged, of a newer format, or was made
                with another backbone or for another number of trained layers.
        """
        self.manifest = manifest = read_manifest(folder)
        if not manifest.checksums:
            raise DataError(
                f"{folder}: extraction stopped at {manifest.rows_done} of {len(manifest.ids)} "
                "photos; run `hgan extract` again to finish it"
            )
        if backbone is not None and manifest.backbone != backbone:
            raise DataError(
                f"{folder}: made with {manifest.backbone}, but {backbone} is required; "
                "extract again into another folder, or change the backbone in the config"
            )
        if trainable_layers and manifest.trainable_layers != trainable_layers:
            raise DataError(
                f"{folder}: made for {manifest.trainable_layers} trained layers of the backbone, "
                f"but vision.trainable_layers is {trainable_layers}; extract again into another "
                "folder"
            )
        needed = [name for name in shapes(manifest) if name != "maps" or trainable_layers]
        arrays = {name: _open_array(folder, name, manifest) for name in needed}
        if verify:
            for name in arrays:
                if _crc32(folder / f"{name}.npy") != manifest.checksums.get(name):
                    raise DataError(
                        f"{folder / name}.npy: damaged (its checksum differs); remove {folder} and "
                        "extract again"
                    )
        self.folder = folder
        self.regions, self.context = arrays["regions"], arrays["context"]
        self.maps = arrays["maps"] if trainable_layers else None
        self.boxes: np.ndarray | None = np.asarray(manifest.boxes, dtype=np.float32)
        self.rows = {
            key: row for row, key in enumerate(manifest.ids) if key not in manifest.skipped
        }
        self.skipped = manifest.skipped
        self.width, self.views = manifest.width, manifest.views
        self.context_width = manifest.context_width

    def read(self, rows: np.ndarray, views: np.ndarray) -> RegionFeatures:
        """Features of the photos in these rows (B), of one view (B) each.

        Raises:
            DataError: a feature is not finite.
        """
        regions = self._read("regions", self.regions, rows, views)
        context = self._read("context", self.context, rows, views)
        maps = None if self.maps is None else self._read("maps", self.maps, rows, views)
        return RegionFeatures(regions, context, np.ones(regions.shape[:2], bool), self.boxes, maps)

    def _read(
        self, name: str, array: np.ndarray, rows: np.ndarray, views: np.ndarray
    ) -> np.ndarray:
        """The features in one file as float32."""
        # Read photo by photo, in the order of the rows.
        found = np.stack([array[r, v] for r, v in zip(rows, views, strict=True)])
        found = found.astype(np.float32)
        if not np.isfinite(found).all():
            bad = int(np.argwhere(~np.isfinite(found))[0][0])
            photo = ", ".join(quarters(self.manifest.ids[rows[bad]]))
            raise DataError(
                f"{self.folder / name}.npy: features of {photo} are not finite (NaN or infinity, "
                f"row {rows[bad]}, view {views[bad]}); remove {self.folder} and extract again"
            )
        return found


class FeatureWriter:
    """Writes a store row by row. After an interruption, a new writer continues after the last
    flush."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Create a store, or continue an incomplete one with the same settings and ids.

        Raises:
            DataError: the folder contains a store with other settings, or a damaged store.
        """
        self.folder = folder
        self.manifest = manifest
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "manifest.json").exists():
            found = read_manifest(folder)
            for name in _SETTINGS:
                if getattr(found, name) != getattr(manifest, name):
                    raise DataError(
                        f"{folder}: contains features with other {name}; "
                        "remove it, or extract into another folder"
                    )
            self.manifest = found
        else:
            check_ids(manifest)
            for name, shape in shapes(manifest).items():
                with RowWriter(folder / f"{name}.npy", shape, _DTYPE):
                    pass  # the header, and zeros
        self._arrays: dict[str, RowWriter] = {}
        for name, shape in shapes(self.manifest).items():
            _open_array(folder, name, self.manifest)  # checks the size
            self._arrays[name] = RowWriter(folder / f"{name}.npy", shape, _DTYPE, keep=True)
        self._save()

    @property
    def finished(self) -> bool:
        """Whether all rows are written and the checksums are stored."""
        return bool(self.manifest.checksums)

    def write(
        self,
        regions: np.ndarray,
        context: np.ndarray,
        skipped: dict[str, str],
        maps: np.ndarray | None = None,
    ) -> None:
        """Append rows.

        Args:
            regions: (n, V, R, D), zeros for skipped photos.
            context: (n, V, D), zeros for skipped photos.
            skipped: error message of each skipped photo.
            maps: (n, V, ...), zeros for skipped photos; None if no layer is trained.

        Raises:
            DataError: a feature is not finite or overflows float16, a shape is wrong, or maps are
                missing or not expected.
        """
        start = self.manifest.rows_done
        self._put(start, regions, context, maps)
        self.manifest.rows_done = start + len(regions)
        self.manifest.skipped.update(skipped)

    def rewrite(
        self, photo: str, regions: np.ndarray, context: np.ndarray, maps: np.ndarray | None = None
    ) -> None:
        """Write the row of a photo that was skipped; then the store is not finished any more.

        Args:
            photo: its id.
            regions: (V, R, D)
            context: (V, D)
            maps: (V, ...); None if no layer is trained.

        Raises:
            DataError: as for `write`.
        """
        if self.finished:  # the stored checksums will not be those of the files
            self.manifest.checksums = {}
            self._save()
        row = self.manifest.ids.index(photo)
        self._put(row, regions[None], context[None], None if maps is None else maps[None])
        del self.manifest.skipped[photo]

    def _put(
        self, start: int, regions: np.ndarray, context: np.ndarray, maps: np.ndarray | None
    ) -> None:
        """Write rows from `start` on, as float16."""
        given = {"regions": regions, "context": context}
        if maps is not None:
            given["maps"] = maps
        if given.keys() != self._arrays.keys():
            raise DataError(
                f"{self.folder}: has {', '.join(self._arrays)}, but {', '.join(given)} were given"
            )
        for name, values in given.items():
            shape = self._arrays[name].shape
            expected = (min(start + len(regions), shape[0]) - start, *shape[1:])
            if values.shape != expected:
                raise DataError(
                    f"{self.folder}: {name} of shape {values.shape} for rows of {expected}"
                )
            with np.errstate(over="ignore"):  # overflow becomes infinity, which is checked next
                half = values.astype(np.float16)
            if not np.isfinite(half).all():
                bad = int(np.argwhere(~np.isfinite(half))[0][0])
                raise DataError(
                    f"{self.manifest.ids[start + bad]}: its {name} features are not finite, "
                    "or too large for float16"
                )
            self._arrays[name].write(start, half)

    def flush(self) -> None:
        """Flush the rows to disk, then update the manifest."""
        for array in self._arrays.values():
            array.flush()
        self._save()

    def finish(self) -> None:
        """Flush, and store the checksums; after this, the store can be opened.

        Raises:
            DataError: rows are missing.
        """
        done, total = self.manifest.rows_done, len(self.manifest.ids)
        if done != total:
            raise DataError(f"{self.folder}: only {done} of {total} rows are written")
        self.flush()
        self.manifest.checksums = {n: _crc32(self.folder / f"{n}.npy") for n in self._arrays}
        self.manifest.checksums[FIELDS] = 0  # computed when it is saved
        self._save()

    def _save(self) -> None:
        write_manifest(self.folder, self.manifest)

    def __enter__(self) -> "FeatureWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not self.finished:
                self.flush()
        finally:
            for array in self._arrays.values():
                with array:
                    pass


def _open_array(folder: Path, name: str, manifest: Manifest) -> np.memmap:
    path = folder / f"{name}.npy"
    array = open_npy(path, "extract again")
    expected = shapes(manifest)[name]
    if array.shape != expected or array.dtype != np.float16:
        raise DataError(
            f"{path}: is {array.dtype} {array.shape}, but its manifest says float16 {expected}; "
            "extract again"
        )
    return array


def _crc32(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
    return value
