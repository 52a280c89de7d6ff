"""Is a data set fit to train on? Every problem of a caption file, its photos or its features."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hgan.data.captions.precomp import splits
from hgan.data.captions.read import find_captions, scan_captions
from hgan.data.captions.types import Problem, Record
from hgan.data.checks.precomp import check_precomp, is_precomp
from hgan.data.checks.report import Report
from hgan.data.features.store import FeatureStore
from hgan.errors import DataError
from hgan.files import sha256
from hgan.progress import progress
from hgan.runtime.images import PHOTO_SUFFIXES, open_photo
from hgan.runtime.stream import stream

LONG_CAPTION = 100
"""Words; sentence encoders cut a caption long before that."""
SHORT_CAPTION = 3
"""Words; fewer tell photos apart badly."""


# A word is what stands between spaces; Chinese and Japanese write none, there a letter is one.
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\s{_IDEOGRAPHS}]+")


def check(path: Path, photos: Path | None = None) -> Report:
    """Check a caption file and every photo it names, or features, or a folder in SCAN's format.

    Args:
        path: a caption file, a folder that holds one or is in SCAN's format, or a feature store.
        photos: the folder that photo names are relative to; by default `images` beside the caption
            file where there is one, else the caption file's own folder. The photos of a folder in
            SCAN's format are looked at only where this is given.

    Raises:
        DataError: there is nothing to check at that path.
    """
    report = Report(str(path))
    if (path / "manifest.json").is_file():
        _check_store(report, path)
        return report
    if is_precomp(path):
        records = _scan(report, path) if splits(path, "caps.txt") else []
        check_precomp(report, path, records)
    else:
        file = find_captions(path)
        if photos is None:
            photos = file.parent / "images" if (file.parent / "images").is_dir() else file.parent
        records = _scan(report, file)
    if photos is not None:
        _check_photos(report, records, photos)
    return report


def _scan(report: Report, path: Path) -> list[Record]:
    """The photos of a caption file that can be used; problems go into the report."""
    records = []
    for found in scan_captions(path):
        if isinstance(found, Problem):
            report.add("error", found.kind, [str(found)])
        else:
            records.append(found)
    _check_splits(report, records)
    _check_captions(report, records)
    return records


def _check_splits(report: Report, records: list[Record]) -> None:
    for record in records:
        row = report.counts.setdefault(record.split or "(none)", {"photos": 0, "captions": 0})
        row["photos"] += 1
        row["captions"] += len(record.captions)
    needed = {"train": "training learns from", "val": "training chooses its checkpoint by"}
    for name, use in needed.items():
        if name not in report.counts:
            found = ", ".join(report.counts) or "none"
            case = f'no photo is in split "{name}", which {use}; the splits here are: {found}'
            report.add("error", f"no {name} split", [case])
    without = [f"{record.where}: {record.image}" for record in records if record.split is None]
    if len(without) < len(records):
        report.add("note", "photo in no split", without)


def _check_captions(report: Report, records: list[Record]) -> None:
    photos_of: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        for text, place in zip(record.captions, record.places, strict=True):
            words = len(_WORD.findall(text))
            shown = f"{place}: {text[:60]!r}"
            if words > LONG_CAPTION:
                report.add("warning", f"caption over {LONG_CAPTION} words", [f"{shown}…, {words}"])
            elif words < SHORT_CAPTION:
                report.add("note", f"caption under {SHORT_CAPTION} words", [shown])
        for text, times in Counter(record.captions).items():
            photos_of[text].append(record)
            if times > 1:
                case = f"{record.where}: {text[:60]!r} {times} times"
                report.add("warning", "caption repeated for its photo", [case])
    report.add(
        "warning",
        "caption shared by several photos",
        (
            f"{of[0].where}: {text[:60]!r} of {', '.join(record.image for record in of[:3])}"
            + (f" and {len(of) - 3} more" if len(of) > 3 else "")
            for text, of in photos_of.items()
            if len(of) > 1
        ),
    )


def _check_photos(report: Report, records: list[Record], photos: Path) -> None:
    def load(record: Record) -> np.ndarray:
        """Decode a photo as training would; its SHA-256 as 32 bytes."""
        path = photos / record.image
        open_photo(path, hint=32)
        return np.frombuffer(bytes.fromhex(sha256(path)), dtype=np.uint8)

    def exists(record: Record) -> bool:
        found = (photos / record.image).is_file()
        if not found:
            report.add("error", "photo missing", [f"{record.where}: {photos / record.image}"])
        return found

    same: dict[bytes, list[Record]] = defaultdict(list)
    with progress("check photos", total=len(records), unit="photos") as bar:
        present = [record for record in records if exists(record)]
        bar.advance(len(records) - len(present))
        for batch in stream(present, load, batch_size=64):
            for record, error in batch.failed:
                report.add("error", "photo cannot be decoded", [f"{record.where}: {error}"])
            for record, digest in zip(batch.items, batch.arrays, strict=True):
                same[digest.tobytes()].append(record)
            bar.advance(len(batch.items) + len(batch.failed))
    for group in same.values():
        if len(group) > 1:
            _add_identical(report, group)
    named = {Path(record.image).as_posix() for record in records}
    report.add("warning", "photo without a caption", _unnamed(photos, named))


def _add_identical(report: Report, group: list[Record]) -> None:
    case = " = ".join(f"{r.image} ({r.split or 'no split'})" for r in group)
    case = f"{group[0].where}: {case}"
    if len({record.split for record in group} - {None}) > 1:
        report.add("error", "identical photos in several splits", [case])
    else:
        report.add("warning", "identical photos", [case])


def _unnamed(photos: Path, named: set[str]) -> Iterable[str]:
    for path in sorted(photos.rglob("*")):
        if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file():
            name = path.relative_to(photos).as_posix()
            if name not in named:
                yield name


def _check_store(report: Report, folder: Path) -> None:
    try:
        store = FeatureStore(folder, verify=True)
    except DataError as error:
        report.add("error", "feature store cannot be used", [str(error)])
        return
    n, views, regions, width = store.regions.shape
    shape = {"photos": n, "views": views, "regions": regions, "width": width}
    report.counts[store.manifest.backbone] = shape
    skipped = store.manifest.skipped
    report.add("warning", "photo skipped", (f"{key}: {why}" for key, why in skipped.items()))
    with progress("check features", total=n, unit="photos") as bar:
        for key, row in store.rows.items():
            values = (store.regions[row], store.context[row])
            if not all(np.isfinite(part).all() for part in values):
                report.add("error", "features not finite", [f"row {row}: {key}"])
            elif not all(part.any() for part in values):
                report.add("error", "features all zero", [f"row {row}: {key}"])
            bar.advance()
