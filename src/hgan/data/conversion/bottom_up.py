"""Convert features of bottom-up attention (Anderson et al., CVPR 2018) from TSV to SCAN's format.

Each line of the TSV is a photo with the columns `image_id`, `image_w`, `image_h`, `num_boxes`,
`boxes` and `features`. The last two are float32 in base64: (R, 4) x0 y0 x1 y1 in pixels, and
(R, D).
"""

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hgan.data.features.row_writer import RowWriter
from hgan.errors import DataError
from hgan.files import new_files
from hgan.progress import progress

COLUMNS = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
_ARRAYS = ("img_sizes", "boxes", "ims")
"""Features are last, so that the other files exist if the features do."""


class _Photo(NamedTuple):
    """The arrays of a photo, in the order of `_ARRAYS`."""

    size: np.ndarray
    """(2,) width and height in pixels."""
    boxes: np.ndarray
    """(R, 4)"""
    features: np.ndarray
    """(R, D)"""


def convert_tsv(tsv: Path, ids: Path, target: Path) -> int:
    """Write the features of the photos in a list as arrays of one split; return the number of rows.

    For `test_ids.txt`, it writes `test_ims.npy` (N, R, D) float32, `test_boxes.npy` (N, R, 4)
    float32 in pixels, `test_img_sizes.npy` (N, 2) float32 width and height, a `test_ids.txt` with
    one line per row, and a copy of the captions next to the list. A list that repeats each photo
    for its captions (as for dev and test) is shortened to one line per photo, which is equivalent.

    Raises:
        DataError: a photo is not in the TSV, a line of the TSV is malformed, photos have different
            numbers of boxes, or a file already exists in the target.
    """
    if not ids.name.endswith("_ids.txt"):
        raise DataError(f"{ids}: must be named SPLIT_ids.txt, such as test_ids.txt")
    split = ids.name.removesuffix("_ids.txt")
    lines = _shortened(_read_ids(ids))
    lists = {ids.name: "".join(f"{key}\n" for key in lines).encode()}
    if (captions := ids.with_name(f"{split}_caps.txt")).is_file():
        lists[captions.name] = captions.read_bytes()
    for name in list(lists):
        if (target / name).is_file() and (target / name).read_bytes() == lists[name]:
            del lists[name]
    arrays = {name: f"{split}_{name}.npy" for name in _ARRAYS}
    with new_files(target, [*lists, *arrays.values()]) as temporary:
        for name, data in lists.items():
            temporary[name].write_bytes(data)
        _fill(tsv, ids, lines, {name: temporary[file] for name, file in arrays.items()})
    return len(lines)


def _read_ids(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    while lines and not lines[-1]:
        lines.pop()
    if not lines or "" in lines:
        number = lines.index("") + 1 if lines else 1
        raise DataError(f"{path}:{number}: the line is empty; it needs an image_id of the TSV")
    return lines


def _shortened(lines: list[str]) -> list[str]:
    """One line per photo, if all photos are repeated equally often in consecutive lines."""
    photos = list(dict.fromkeys(lines))
    share = len(lines) // len(photos)
    return photos if lines == [key for key in photos for _ in range(share)] else lines


def _fill(tsv: Path, ids: Path, lines: list[str], files: dict[str, Path]) -> None:
    arrays: dict[str, RowWriter] = {}
    missing: dict[str, list[int]] = defaultdict(list)  # rows of each photo not yet found
    for row, key in enumerate(lines):
        missing[key].append(row)
    total = len(missing)
    with ExitStack() as stack, progress("convert", total=total, unit="photos") as bar:
        for where, cells in _lines(tsv):
            key = cells[0].decode(errors="replace").strip()
            if key not in missing:
                continue  # not in the list, or repeated, since parts of the file can overlap
            photo = _decode(cells, f"{where}: photo {key}")
            if not arrays:
                for (name, path), values in zip(files.items(), photo, strict=True):
                    writer = RowWriter(path, (len(lines), *values.shape))
                    arrays[name] = stack.enter_context(writer)
            if photo.features.shape != (regions := arrays["ims"].shape[1:]):
                raise DataError(
                    f"{where}: photo {key} has (boxes, width) {photo.features.shape}, but the "
                    f"first photo has {regions}; use the features with 36 boxes for every photo"
                )
            for row in missing.pop(key):
                for name, values in zip(files, photo, strict=True):
                    arrays[name].write(row, values[None])
            bar.advance()
            if not missing:
                break
    if missing:
        raise DataError(
            f"{tsv}: {len(missing)} of {total} photos of {ids} are not in it, the first is "
            f"{next(iter(missing))}; if the TSV has several parts, join them with cat"
        )


def _lines(tsv: Path) -> Iterator[tuple[str, list[bytes]]]:
    """Position and cells of each line. The csv module limits the length of cells, so it is not
    used."""
    try:
        with tsv.open("rb") as file:
            for number, line in enumerate(file, 1):
                cells = line.rstrip(b"\r\n").split(b"\t")
                if not line.strip() or (number == 1 and cells[0] == COLUMNS[0].encode()):
                    continue
                if len(cells) != len(COLUMNS):
                    raise DataError(
                        f"{tsv}:{number}: {len(cells)} cells instead of {len(COLUMNS)} "
                        f"({', '.join(COLUMNS)}); is the file complete?"
                    )
                yield f"{tsv}:{number}", cells
    except OSError as error:
        raise DataError(f"{tsv}: cannot be read ({error.strerror})") from error


def _decode(cells: list[bytes], where: str) -> _Photo:
    try:
        width, height, count = float(cells[1]), float(cells[2]), int(cells[3])
    except ValueError as error:
        text = f"{where}: image_w, image_h or num_boxes is not a number ({error})"
        raise DataError(text) from error
    if not (0 < width < np.inf and 0 < height < np.inf and count > 0):
        raise DataError(f"{where}: {width} x {height} pixels, {count} boxes; all must be above 0")
    boxes, features = (_floats(cells[i], count, f"{where}: {COLUMNS[i]}") for i in (4, 5))
    if boxes.shape[1] != 4:
        raise DataError(f"{where}: boxes have {boxes.shape[1]} numbers, not 4 (x0 y0 x1 y1)")
    return _Photo(np.array([width, height]), boxes, features)


def _floats(cell: bytes, count: int, where: str) -> np.ndarray:
    """(count, width) float32 of a base64 cell."""
    try:
        data = base64.b64decode(cell, validate=True)
    except binascii.Error as error:
        raise DataError(f"{where}: not base64 ({error}); is the file complete?") from error
    if not data or len(data) % (4 * count):
        raise DataError(f"{where}: {len(data)} bytes are not float32 values of {count} boxes")
    values = np.frombuffer(data, dtype="<f4").reshape(count, -1)
    if not np.isfinite(values).all():
        raise DataError(f"{where}: not finite (NaN or infinity)")
    return values
