"""Data sets whose photos and captions are together, such as Parquet files and WebDataset's shards:
the samples that their readers yield, and the folder of photos and captions that is made of them.

`images/` has the photos as they were stored, not encoded again, and `captions.jsonl` the captions.
The folder is written once, and used like any other data set: by `hgan data check`, `extract`,
`train` and `evaluate`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from hgan.data.captions.read import join_records
from hgan.data.captions.types import Problem, Record, is_id, is_text, split_name
from hgan.data.conversion.jsonl_writer import write_jsonl
from hgan.errors import DataError
from hgan.files import refuse_existing, replace_folder
from hgan.progress import console, progress
from hgan.runtime.formats import kind_of
from hgan.runtime.images import media_type
from hgan.runtime.photo_names import parts_of

SHOWN = 10
"""Number of samples that are left out and listed; the others are counted."""
CAPTIONS = ("captions", "caption", "sentences_raw", "sentences", "text")
"""Columns of captions, of which the first that is there is read."""
IMAGE_IDS, CAPTION_IDS = ("cocoid", "image_id", "imgid"), ("sentids", "caption_ids")
"""Columns of the data set's ids, as in MS-COCO."""
_SUFFIXES = {
    "image/avif": ".avif",
    "image/bmp": ".bmp",
    "image/gif": ".gif",
    "image/heic": ".heic",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/tiff": ".tif",
    "image/webp": ".webp",
}


@dataclass(frozen=True)
class Sample:
    """A photo with its captions."""

    record: Record
    """Its `image` is the name that the data set has for it, or empty."""
    photo: bytes = field(repr=False)
    """The content of the photo's file."""


def texts_of(value: Any) -> list[str]:
    """The captions in a cell: a text, an object with a text as `raw`, or a list of these."""
    if isinstance(value, dict):
        return texts_of(value.get("raw"))
    if isinstance(value, list):
        return [text for item in value for text in texts_of(item)]
    return [value] if is_text(value) and value.strip() else []


def set_row_ids(record: Record, row: dict[str, Any]) -> None:
    """Store the data set's ids: that of the photo, and those of its captions if each has one."""
    record.image_id = next((row[name] for name in IMAGE_IDS if is_id(row.get(name))), None)
    for found in (*(row.get(name) for name in CAPTION_IDS), _inner_ids(row.get("sentences"))):
        if (
            isinstance(found, list)
            and len(found) == len(record.captions)
            and all(map(is_id, found))
        ):
            record.caption_ids = found
            return


def _inner_ids(sentences: Any) -> Any:
    """The ids in an object with `raw` and `sentid`, of lists or not, or in a list of such."""
    if isinstance(sentences, dict):
        found = sentences.get("sentid")
        return found if isinstance(found, list) else [found]
    listed = sentences if isinstance(sentences, list) else []
    return [one.get("sentid") for one in listed if isinstance(one, dict)]


def write_samples(found: Iterable[Sample | Problem], target: Path, source: Path) -> str:
    """Write photos and captions into a new folder; return a summary.

    A sample that cannot be used is left out, listed and counted. Rows with the same photo, as in
    data sets with one caption a row, become one photo.

    Args:
        found: the samples, and the problems of others.
        target: the folder, which must not exist.
        source: the data set, for error messages.

    Raises:
        DataError: the target exists, or no sample can be used; nothing is written then.
    """
    refuse_existing([target])
    writer = _Writer()

    def write(folder: Path) -> None:
        with progress("convert", total=None, unit="photos") as bar:
            for item in found:
                writer.add(item, folder / "images")
                bar.advance()
        if not writer.records:
            reason = writer.problems[0] if writer.problems else "it is empty"
            raise DataError(f"{source}: no photo with captions is in the data set; {reason}")
        write_jsonl(join_records(list(writer.records.values())), folder / "captions.jsonl")

    replace_folder(target, write)
    for problem in writer.problems[:SHOWN]:
        console.print(f"left out: {problem}", markup=False, soft_wrap=True)
    return writer.summary(target)


class _Writer:
    """Writes photos, and collects their captions.

    Attributes:
        records: the photos that were written, by their names in lower case.
        problems: the samples that were left out.
    """

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.problems: list[Problem] = []
        self._digests: dict[str, bytes] = {}
        self._number = 0

    def add(self, item: Sample | Problem, images: Path) -> None:
        """Write a photo below `images`, or add the captions to those of the same photo."""
        self._number += 1
        if isinstance(item, Problem):
            self.problems.append(item)
            return
        record = item.record
        if not record.captions:
            self._leave_out(record, "no captions")
            return
        try:
            suffix = _SUFFIXES[media_type(item.photo)]
        except DataError as error:
            self._leave_out(record, str(error))
            return
        digest = hashlib.sha256(item.photo).digest()
        for name in self._names(record.image, suffix):
            key = name.casefold()  # some file systems do not tell a.jpg from A.jpg
            first = self.records.get(key)
            if first is None:
                record.image = name
                self.records[key], self._digests[key] = record, digest
                path = images / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(item.photo)
                return
            if self._digests[key] == digest and first.split == record.split:
                _merge(first, record)
                return

    def _names(self, wished: str, suffix: str) -> Iterator[str]:
        """Names for a photo: its own if that is one on every system, then one that is free."""
        if wished and kind_of(wished) is None:
            wished += suffix
        number = f"{self._number:08}"
        try:
            parts = parts_of(wished)
        except DataError:  # `..`, an absolute path, a name of a device, none at all
            yield f"{number}{suffix}"
        else:
            yield "/".join(parts)
            own = PurePosixPath(*parts)
            yield own.with_name(f"{own.stem}-{number}{own.suffix}").as_posix()

    def _leave_out(self, record: Record, reason: str) -> None:
        self.problems.append(Problem("left out", record.where, reason))

    def summary(self, target: Path) -> str:
        """The numbers of photos and captions, and of samples that were left out."""
        splits = Counter(record.split or "no split" for record in self.records.values())
        inside = ", ".join(f"{name} {count:,}" for name, count in splits.items())
        texts = sum(len(record.captions) for record in self.records.values())
        rest = f", {len(self.problems):,} left out" if self.problems else ""
        return f"{len(self.records):,} photos ({inside}), {texts:,} captions{rest}: {target}"


def _merge(first: Record, record: Record) -> None:
    """Add the captions of a row to those of the same photo, and its ids if both have them."""
    ids = first.caption_ids if record.caption_ids is not None else None
    for number, (text, place) in enumerate(zip(record.captions, record.places, strict=True)):
        if text not in first.captions:
            first.captions.append(text)
            first.places.append(place)
            if ids is not None and record.caption_ids is not None:
                ids.append(record.caption_ids[number])
    first.caption_ids = ids


def named_split(path: PurePosixPath) -> str | None:
    """The split in the path of a file, as in `data/train-00000-of-00009.parquet`; None if none."""
    for part in reversed(path.parts):
        words = [split_name(word) for word in _words(part)]
        if found := next((word for word in words if word in ("train", "val", "test")), None):
            return found
    return None


def _words(name: str) -> list[str]:
    return "".join(c if c.isalpha() else " " for c in name.lower()).split()
