"""Features that are computed when they are read: batches from photos, each in a new view.

They have the interface of stored features, so that training and evaluation read either. What is
computed is what the backbone's frozen layers see; trained layers are in the matcher.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from hgan.chunks import chunks
from hgan.data.features.types import RegionFeatures
from hgan.progress import progress
from hgan.runtime.images import open_photo
from hgan.runtime.preprocessing import Preprocessing
from hgan.runtime.stream import stream
from hgan.torch_device import torch_device
from hgan.vision.backbone import Backbone, grid_boxes
from hgan.vision.extract import BATCH, DEVICE_BATCH, Run, backbone_run, check_folder, check_skipped
from hgan.vision.mosaics import open_row
from hgan.vision.views import recolour, view

NEW_VIEWS = 2**32
"""Number of views that new ones are drawn from: so many that none is drawn twice."""
CHECKED = 500
"""Photos that are decoded between two steps of the progress bar."""


class PhotoFeatures:
    """Features of photos and mosaics by row, with the interface of `Features`.

    The view of a row depends only on its number and the photo's name, like the views of a feature
    store; view 0 is the photo as it is.

    Attributes:
        rows: the row of each photo, by name.
        skipped: photos that have no row, with the reason.
    """

    def __init__(
        self,
        backbone: Backbone,
        photos: Path,
        ids: Sequence[str],
        skipped: Mapping[str, str] | None = None,
        colour: float = 0.0,
        views: int = NEW_VIEWS,
    ) -> None:
        """Read photos with a backbone; nothing is read yet.

        Args:
            backbone: its frozen layers are run.
            photos: the folder of the photos.
            ids: paths of the photos relative to this folder, or ids of mosaics.
            skipped: those of them that cannot be read, with the reason.
            colour: largest change of the colours of a view, see `recolour`.
            views: number of views of each photo.
        """
        self.skipped = dict(skipped or {})
        self._ids = [name for name in ids if name not in self.skipped]
        self.rows = {name: row for row, name in enumerate(self._ids)}
        self.width, self.context_width = backbone.width, backbone.context_width
        self.views = views
        self.boxes: np.ndarray | None = grid_boxes(backbone.grid)
        self._photos, self._colour, self._backbone = photos, colour, backbone
        self._device = torch_device()
        self._run: Run | None = None

    def read(self, rows: np.ndarray, views: np.ndarray) -> RegionFeatures:
        """Features of the photos in these rows (B), of one view (B) each.

        Raises:
            DataError: a photo cannot be read.
        """
        if self._run is None:  # on a processor, the backbone is exported first, which takes seconds
            self._run = backbone_run(self._backbone, self._device)
        wanted = list(zip(rows.tolist(), views.tolist(), strict=True))
        (decoded,) = stream(wanted, self._load, len(wanted))
        if decoded.failed:
            raise decoded.failed[0][1]
        size = BATCH if self._device.type == "cpu" else DEVICE_BATCH
        parts = [self._run(np.stack(group)) for group in chunks(decoded.arrays, size)]
        regions, context, *maps = map(np.concatenate, zip(*parts, strict=True))
        mask = np.ones(regions.shape[:2], bool)
        return RegionFeatures(regions, context, mask, self.boxes, maps[0] if maps else None)

    def of(self, ids: Sequence[str]) -> "PhotoFeatures":
        """Features of other photos or mosaics of the same folder, with the same backbone."""
        other = PhotoFeatures(self._backbone, self._photos, ids)
        other._run = self._run = self._run or backbone_run(self._backbone, self._device)
        return other

    def _load(self, wanted: tuple[int, int]) -> np.ndarray:
        """The pixels (size, size, 3) uint8 of a row in a view."""
        key, number = self._ids[wanted[0]], wanted[1]
        preprocessing = self._backbone.preprocessing
        photo = view(open_row(self._photos, key, preprocessing.size), number, key)
        pixels = preprocessing.pixels(photo)
        return recolour(pixels, self._colour, f"{key} {number}") if number else pixels


def unreadable(
    photos: Path, names: Collection[str], preprocessing: Preprocessing
) -> dict[str, str]:
    """The photos that cannot be read, with the reason: each is decoded once, so that none stops a
    run after hours.

    Args:
        photos: the folder of the photos.
        names: their paths relative to this folder.
        preprocessing: how they will be prepared.

    Raises:
        DataError: more than a tenth of the photos are missing or cannot be read.
    """
    check_folder(photos, list(names))

    def check(name: str) -> np.ndarray:
        open_photo(photos / name, hint=preprocessing.hint)
        return np.empty(0)

    skipped: dict[str, str] = {}
    with progress("check photos", total=len(names), unit="photos") as bar:
        for batch in stream(names, check, CHECKED):
            skipped |= {name: str(error) for name, error in batch.failed}
            bar.advance(len(batch.items) + len(batch.failed))
    check_skipped(photos, skipped, len(names))
    return skipped
