"""Write captions, and optionally features, to a folder in SCAN's format ("SCAN precomp").

`{split}_caps.txt` has one caption per line. `{split}_ids.txt` has one id per line: one per photo if
all photos have the same number of captions, otherwise one per caption. Line i of the ids belongs to
row i of `{split}_ims.npy`. `id_mapping.json` contains the file name of each id.
"""

import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hgan.data.captions.types import Captions
from hgan.data.features.row_writer import RowWriter
from hgan.data.features.store import FeatureStore
from hgan.errors import DataError
from hgan.files import new_files
from hgan.progress import Bar, progress

_SPLITS = {"train": "train", "val": "dev", "test": "test"}
"""Names of the splits in SCAN's format, which has no others."""
_ARRAYS = "img_sizes", "boxes", "ims"
"""Features are last, so that the other files exist if the features do."""
_BATCH = 64
"""Rows that are copied at once."""
_LINE_BREAKS = re.compile(r"[\r\n]+")


class _Lists(NamedTuple):
    photos: list[int]
    """(N) for each line of ids, the position of the photo in `Captions.images`."""
    texts: list[str]
    """One caption per line."""


def write_precomp(captions: Captions, target: Path, store: FeatureStore | None = None) -> int:
    """Write the lists, and the arrays if there is a store; return the number of photos.

    Arrays are float32: view 0 in `{split}_ims.npy` (N, R, D), boxes in 0..1 in
    `{split}_boxes.npy` (N, R, 4), and ones in `{split}_img_sizes.npy` (N, 2), since the boxes are
    not in pixels. The format has no features of whole photos. Photos in none of the three splits
    are left out. A line break in a caption is replaced by a space.

    Raises:
        DataError: no photo is in one of the three splits, a photo has no features, or one of the
            files already exists in the target.
    """
    lists = _lists(captions)
    photos = sorted({photo for found in lists.values() for photo in found.photos})
    if not lists:
        raise DataError(
            "no photo is in split train, val or test, which SCAN's format needs; "
            'convert to TARGET.jsonl first, and add a "split" to each line'
        )
    if store is not None:
        images = [captions.images[photo] for photo in photos]
        if missing := [image for image in images if image not in store.rows]:
            raise DataError(
                f"{len(missing)} of {len(photos)} photos have no features, the first is "
                f"{missing[0]}; leave them out of the captions, or extract their features"
            )
    texts = _texts(captions, lists, photos)
    names = [] if store is None else [f"{split}_{name}.npy" for split in lists for name in _ARRAYS]
    with new_files(target, [*texts, *names]) as temporary:
        for name, text in texts.items():
            temporary[name].write_text(text, encoding="utf-8", newline="\n")
        if store is not None:
            total = sum(len(found.photos) for found in lists.values())
            with progress("convert", total=total, unit="photos") as bar:
                for split, found in lists.items():
                    rows = [store.rows[captions.images[i]] for i in found.photos]
                    paths = [temporary[f"{split}_{name}.npy"] for name in _ARRAYS]
                    _write_arrays(store, np.array(rows), paths, bar)
    return len(photos)


def _lists(captions: Captions) -> dict[str, _Lists]:
    """The lines of each split that has photos, by the name of the split in SCAN's format."""
    of_image = captions.of_image()
    lists = {}
    for split, name in _SPLITS.items():
        own = [photo for photo, found in enumerate(captions.splits) if found == split]
        same = len({len(of_image[photo]) for photo in own}) == 1
        photos = [photo for photo in own for _ in range(1 if same else len(of_image[photo]))]
        texts = [captions.texts[t] for photo in own for t in of_image[photo]]
        if own:
            lists[name] = _Lists(photos, [_LINE_BREAKS.sub(" ", text) for text in texts])
    return lists


def _texts(captions: Captions, lists: dict[str, _Lists], photos: list[int]) -> dict[str, str]:
    """Contents of the text files, by name. Ids are those of the data set if they are known and
    unique, otherwise the positions of the photos."""
    own = captions.image_ids
    unique = own is not None and len(np.unique(own)) == len(own)
    ids = own.tolist() if own is not None and unique else range(len(captions.images))
    mapping = {str(ids[photo]): captions.images[photo] for photo in photos}
    files = {"id_mapping.json": json.dumps(mapping, ensure_ascii=False) + "\n"}
    for split, found in lists.items():
        files[f"{split}_caps.txt"] = "".join(f"{text}\n" for text in found.texts)
        files[f"{split}_ids.txt"] = "".join(f"{ids[photo]}\n" for photo in found.photos)
    return files


def _write_arrays(store: FeatureStore, rows: np.ndarray, paths: list[Path], bar: Bar) -> None:
    """Copy these rows (N) of a store, in this order, to the files of `_ARRAYS`."""
    regions, width = store.regions.shape[2:]
    shapes = (len(rows), 2), (len(rows), regions, 4), (len(rows), regions, width)
    with ExitStack() as stack:
        sizes, boxes, features = (
            stack.enter_context(RowWriter(path, shape))
            for path, shape in zip(paths, shapes, strict=True)
        )
        common = np.asarray(store.manifest.boxes, dtype=np.float32)
        for start in range(0, len(rows), _BATCH):
            chosen = rows[start : start + _BATCH]
            found = store.read(chosen, np.zeros(len(chosen), dtype=int))
            sizes.write(start, np.ones((len(chosen), 2)))
            boxes.write(start, np.broadcast_to(common, (len(chosen), regions, 4)))
            features.write(start, found.regions)
            bar.advance(len(chosen))
