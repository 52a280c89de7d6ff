"""Checks of a folder in SCAN's format: whether its lists, features and boxes are consistent.

Its captions are checked by `hgan.data.checks.captions`, as for all formats.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hgan.data.captions.precomp import name_of, splits
from hgan.data.captions.types import Record
from hgan.data.checks.report import Report
from hgan.data.features.precomp import PrecompFeatures, PrecompSplit
from hgan.errors import DataError
from hgan.progress import progress

EDGE = 1.0
"""Pixels by which a box may exceed its photo, since detectors count the last pixel differently."""


def is_precomp(path: Path) -> bool:
    """True for a folder in SCAN's format: lists of captions, features, or both."""
    return bool(splits(path, "caps.txt") or splits(path, "ims.npy"))


def check_precomp(report: Report, folder: Path, records: list[Record]) -> None:
    """Add the counts and the problems of the splits' lists and arrays to a report."""
    _count_shared(report, records)
    listed, stored = splits(folder, "caps.txt"), splits(folder, "ims.npy")
    for split in splits(folder, "ids.txt"):
        if split not in listed:
            case = f"{folder / split}_ids.txt has no {split}_caps.txt"
            report.add("note", "split without captions", [case])
    if "testall" in listed + stored and any(folder.glob("test_*")):
        case = f"{folder}/test_*: these photos are also in testall, which is read instead"
        report.add("note", "split left out", [case])
    if not stored:
        case = f"{folder}: no {{split}}_ims.npy; training needs features from another folder"
        report.add("note", "no features", [case])
        return
    opened = {split: _open(report, folder, split) for split in stored}
    for split in listed:
        if split not in stored:
            case = f"{folder / split}_ims.npy is missing, but {split}_caps.txt exists"
            report.add("error", "features missing", [case])
    arrays = [split for split in opened.values() if split is not None]
    for part in arrays:
        _check_rows(report, part)
    if len(arrays) == len(stored):
        _check_together(report, folder)


def _count_shared(report: Report, records: list[Record]) -> None:
    """Count captions that several photos of a split share, since they are ties in every ranking."""
    photos_of: dict[tuple[str | None, str], list[str]] = defaultdict(list)
    for record in records:
        for text in record.captions:
            photos_of[record.split, text].append(record.image)
    for row in report.counts.values():
        row["shared captions"] = 0
    for (split, _), photos in photos_of.items():
        if len(set(photos)) > 1:
            report.counts[split or "(none)"]["shared captions"] += len(photos)


def _open(report: Report, folder: Path, split: str) -> PrecompSplit | None:
    """Open the arrays of a split and add their shapes to the counts."""
    try:
        opened = PrecompSplit(folder, split)
    except DataError as error:
        report.add("error", "features cannot be used", [str(error)])
        return None
    rows, regions, width = opened.regions.shape
    photos = len(set(opened.photos))
    report.counts.setdefault(name_of(split), {"photos": photos}).update(
        {
            "rows": rows,
            "copies": rows - photos,
            "regions": regions,
            "width": width,
            "boxes": 0 if opened.boxes is None else rows * regions,
        }
    )
    return opened


def _check_together(report: Report, folder: Path) -> None:
    try:
        features = PrecompFeatures(folder)
    except DataError as error:
        report.add("error", "splits do not match", [str(error)])
        return
    boxed = [split.boxes is not None for split in features.splits]
    if any(boxed) and not all(boxed):
        without = [
            f"{split.regions.path} has no boxes, so the boxes of the other splits are not used"
            for split in features.splits
            if split.boxes is None
        ]
        report.add("warning", "split without boxes", without)


def _check_rows(report: Report, split: PrecompSplit) -> None:
    """Read every row once and add bad features and boxes."""
    path, first = split.regions.path, dict[str, int]()
    with progress(f"check {path.name}", total=len(split.photos), unit="photos") as bar:
        for row, name in enumerate(split.photos):
            regions, where = split.regions.read(row), f"{path}: row {row} (photo {name})"
            if not np.isfinite(regions).all():
                report.add("error", "features not finite", [where])
            elif not regions.any():
                report.add("error", "features all zero", [where])
            if (copy := first.setdefault(name, row)) != row:
                if not np.array_equal(regions, split.regions.read(copy), equal_nan=True):
                    case = f"{where} differs from row {copy}, of the same photo"
                    report.add("error", "rows of a photo differ", [case])
            else:
                _check_boxes(report, split, row)
            bar.advance()


def _check_boxes(report: Report, split: PrecompSplit, row: int) -> None:
    if split.boxes is None or split.sizes is None:
        return
    boxes, size = split.boxes.read(row), split.sizes[row]  # (R, 4), (2,)
    where = f"{split.boxes.path}: row {row}"
    if not np.isfinite(boxes).all():
        report.add("error", "boxes not finite", [where])
        return
    start, end = boxes[:, :2], boxes[:, 2:]
    outside = np.any((start < -EDGE) | (end > size + EDGE), axis=1)
    backwards = np.any(end < start, axis=1)
    empty = np.any(end == start, axis=1) & ~backwards

    def cases(bad: np.ndarray) -> Iterator[str]:
        for region in np.flatnonzero(bad):
            box = [round(value, 1) for value in boxes[region].tolist()]
            photo = "x".join(f"{side:.0f}" for side in size)
            yield f"{where}, region {region}: {box}, photo {photo}"

    report.add("error", "box outside its photo", cases(outside))
    report.add("error", "box with x1 < x0 or y1 < y0", cases(backwards))
    report.add("warning", "box without area", cases(empty))
