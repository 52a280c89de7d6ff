"""Read features from a folder in SCAN's format: `{split}_ims.npy` (N, R, D), and boxes of regions.

Rows are read from the file one by one. A memory map is not used, since its pages count as memory of
the process: an epoch on MS-COCO reads 31 GiB.
"""

from pathlib import Path

import numpy as np

from hgan.data.captions.precomp import read_photos, splits
from hgan.data.features.npy import open_npy
from hgan.data.features.types import RegionFeatures
from hgan.errors import DataError

_BOXES = "boxes.npy", "ims_bbx.npy"
_SIZES = "img_sizes.npy", "ims_size.npy"
"""Endings of the file names; the second one is used by GSMN."""


class RowFile:
    """Reads rows of a .npy file.

    Attributes:
        path: the file.
        shape: shape of the whole array.
        dtype: data type in the file; `read` returns float32.
    """

    def __init__(self, path: Path, kinds: str = "float16 float32") -> None:
        """Read the header of the file, and check that the file is complete.

        Args:
            path: the file.
            kinds: names of the allowed data types.

        Raises:
            DataError: the file is missing, truncated or pickled, or its data type or memory order
                is not supported.
        """
        array = open_npy(path, "copy or create it again")
        self.path, self.shape, self.dtype = path, array.shape, array.dtype
        self._offset, self._stride = array.offset, array.strides[0]
        wrong = None
        if array.dtype.name not in kinds.split() or not array.dtype.isnative:
            wrong = f"contains {array.dtype}, but {kinds.replace(' ', ' or ')} is needed"
        elif not array.flags.c_contiguous:
            wrong = "is in Fortran order, so the features of a photo are not contiguous"
        if wrong:
            copy = path.with_suffix(".converted.npy")
            raise DataError(
                f"{path}: {wrong}; convert it, then rename the new file: python -c 'import numpy as"
                f' n; a = n.load("{path}", mmap_mode="r"); n.lib.format.open_memmap("{copy}", "w+",'
                ' "float32", a.shape)[:] = a\''
            )

    def read(self, row: int) -> np.ndarray:
        """Read one row as float32."""
        count, start = self._stride // self.dtype.itemsize, self._offset + row * self._stride
        values = np.fromfile(self.path, self.dtype, count, offset=start)
        return values.reshape(self.shape[1:]).astype(np.float32, copy=False)


class PrecompSplit:
    """The arrays of one split.

    Attributes:
        ids: the file with the id of the photo of each row.
        photos: names of the photos of all rows; names can be repeated.
        regions: rows (R, D).
        boxes: rows (R, 4), x0 y0 x1 y1 in pixels, or None.
        sizes: (N, 2) float32, width and height of the photo of each row in pixels, or None.
    """

    def __init__(self, folder: Path, split: str) -> None:
        """Open the files of one split.

        Raises:
            DataError: a file is missing or damaged, or the files do not match.
        """
        self.ids = folder / f"{split}_ids.txt"
        self.photos, problems = read_photos(folder, split)
        if problems:
            raise DataError(str(problems[0]))
        self.regions = RowFile(folder / f"{split}_ims.npy")
        shape = self.regions.shape
        if len(shape) != 3 or 0 in shape:
            raise DataError(
                f"{self.regions.path}: its shape is {shape}, not (photos, regions, width)"
            )
        self._check_rows(shape[0])
        self.boxes, self.sizes = None, None
        if boxes := _first(folder, split, _BOXES):
            self.boxes = RowFile(boxes, "float32 float64 float16 int16 int32 int64 uint16")
            if self.boxes.shape != (*shape[:2], 4):
                raise DataError(
                    f"{boxes}: its shape is {self.boxes.shape}, but {self.regions.path.name} needs "
                    f"{(*shape[:2], 4)}"
                )
            sizes = _first(folder, split, _SIZES)
            if sizes is None:
                raise DataError(
                    f"{boxes}: boxes in pixels need the photos' sizes; add {split}_{_SIZES[0]} "
                    "(N, 2), width and height, or remove the boxes"
                )
            self.sizes = _read_sizes(sizes, shape[0])

    def _check_rows(self, rows: int) -> None:
        if rows == len(self.photos):
            return
        text = f"{self.regions.path}: {rows} rows, but {len(self.photos)} ids in {self.ids.name}"
        if rows == len(set(self.photos)):
            text += "; it has one row per photo, so the list must also name each photo once"
        raise DataError(text + "; line i of the ids is the photo of row i")


class PrecompFeatures:
    """Features of all splits of a folder; the rows of all splits are numbered consecutively.

    Attributes:
        rows: the first row of each photo, by name; other rows of the same photo are copies.
        width: D.
        skipped: always empty.
        views: always 1.
        boxes: always None, since photos have different boxes.
    """

    def __init__(self, folder: Path) -> None:
        """Open a folder, without reading the features.

        Raises:
            DataError: the features are missing or damaged, or do not match the ids.
        """
        self.splits = [PrecompSplit(folder, split) for split in splits(folder, "ims.npy")]
        if not self.splits:
            raise DataError(f"{folder}: no features in SCAN's format here (train_ims.npy, ...)")
        first = self.splits[0].regions
        for split in self.splits:
            if split.regions.shape[1:] != first.shape[1:]:
                raise DataError(
                    f"{split.regions.path}: regions and width are {split.regions.shape[1:]}, but "
                    f"{first.shape[1:]} in {first.path.name}"
                )
        self._starts = np.cumsum([0, *(len(split.photos) for split in self.splits)])
        self.rows: dict[str, int] = {}
        for split, start in zip(self.splits, self._starts.tolist(), strict=False):
            for row, name in enumerate(split.photos, start):
                if self.rows.setdefault(name, row) < start:
                    raise DataError(
                        f"{split.ids}:{row - start + 1}: photo {name} is also in another split; if "
                        "ids count from 0 in each split, make them unique"
                    )
        self.context_width = 0
        self.width, self.views = first.shape[2], 1
        self.skipped: dict[str, str] = {}
        self.boxes: np.ndarray | None = None
        self._has_boxes = all(split.boxes is not None for split in self.splits)

    def read(self, rows: np.ndarray, views: np.ndarray) -> RegionFeatures:
        """Features of the photos in these rows (B); there is only one view."""
        shape = len(rows), *self.splits[0].regions.shape[1:]
        regions = np.empty(shape, np.float32)
        boxes = np.empty((*shape[:2], 4), np.float32) if self._has_boxes else None
        for i, (split, row) in enumerate(map(self._place, rows)):
            regions[i] = split.regions.read(row)
            _check_finite(regions[i], split.regions, split.photos[row], row)
            if boxes is not None and split.boxes is not None and split.sizes is not None:
                pixels = split.boxes.read(row)
                _check_finite(pixels, split.boxes, split.photos[row], row)
                # Detectors can return boxes that are slightly outside the photo.
                boxes[i] = (pixels / np.tile(split.sizes[row], 2)).clip(0, 1)
        return RegionFeatures(regions, regions.mean(axis=1), np.ones(shape[:2], bool), boxes)

    def _place(self, row: int) -> tuple[PrecompSplit, int]:
        """The split of a row, and its row in that split."""
        index = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self.splits[index], int(row - self._starts[index])


def _check_finite(values: np.ndarray, file: RowFile, photo: str, row: int) -> None:
    if not np.isfinite(values).all():
        raise DataError(
            f"{file.path}: row {row} ({photo}) is not finite (NaN or infinity); create it again"
        )


def _first(folder: Path, split: str, endings: tuple[str, ...]) -> Path | None:
    paths = (folder / f"{split}_{ending}" for ending in endings)
    return next((path for path in paths if path.is_file()), None)


def _read_sizes(path: Path, rows: int) -> np.ndarray:
    """Width and height in pixels of each photo, (N, 2) float32, from numbers or named fields."""
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as error:
        target = path.with_name(path.name.replace(_SIZES[1], _SIZES[0]))
        raise DataError(
            f"{path}: truncated, damaged, or pickled objects, which are not loaded ({error}); "
            "if you trust its source, write plain numbers: python -c 'import numpy as n; "
            f'a = n.load("{path}", allow_pickle=True, encoding="latin1"); n.save("{target}", '
            '[[s["image_w"], s["image_h"]] for s in a])\''
        ) from error
    if array.dtype.names and {"image_w", "image_h"} <= set(array.dtype.names):
        array = np.stack([array["image_w"], array["image_h"]], axis=-1)
    if array.shape != (rows, 2) or array.dtype.kind not in "iuf":
        raise DataError(
            f"{path}: contains {array.dtype} {array.shape}, not width and height of {rows} photos"
        )
    sizes = array.astype(np.float32)
    if not (bad := np.flatnonzero(~(np.isfinite(sizes) & (sizes > 0)).all(axis=1))).size:
        return sizes
    raise DataError(
        f"{path}: row {bad[0]}: width and height {sizes[bad[0]].tolist()} must be above 0"
    )
