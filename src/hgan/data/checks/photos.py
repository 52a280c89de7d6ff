"""Checks of photos: whether they can be decoded, and whether splits contain identical photos."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hgan.data.captions.types import Record
from hgan.data.checks.report import Report
from hgan.files import sha256
from hgan.progress import progress
from hgan.runtime.formats import kind_of
from hgan.runtime.images import open_photo
from hgan.runtime.stream import stream


def check_photos(report: Report, records: list[Record], photos: Path) -> None:
    """Decode every photo, and report missing, damaged and identical photos, and photos without
    captions.

    Args:
        report: the report that findings are added to.
        records: the photos in the caption file.
        photos: the folder of the photos.
    """

    def load(record: Record) -> np.ndarray:
        """Decode a photo as in the extraction; return its SHA-256 as 32 bytes."""
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
    """Photos in the folder that are not in the caption file."""
    for path in sorted(photos.rglob("*")):
        if kind_of(path.name) is not None and path.is_file():
            name = path.relative_to(photos).as_posix()
            if name not in named:
                yield name
