"""Caption files of every form to one: photos, captions, and which caption is of which photo.

`hgan.data.captions.forms` reads files, `hgan.data.captions.precomp` the lists of a folder in SCAN's
format; here is what holds for all of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from hgan.data.captions.forms import FILE_NAMES, parse
from hgan.data.captions.precomp import scan_precomp
from hgan.data.captions.types import Captions, Problem, Record
from hgan.errors import DataError

_LISTS = "*_caps.txt"
"""What tells a folder in SCAN's format."""


def read_captions(path: Path) -> Captions:
    """Read a caption file, or a folder that holds one; the form is told by the content.

    Captions are kept as they are written, apart from white space around them.

    Raises:
        DataError: the file is missing, not UTF-8, or malformed anywhere; names file and line.
    """
    records: list[Record] = []
    for found in scan_captions(path):
        if isinstance(found, Problem):
            raise DataError(f"{found}; `hgan data check {path}` lists every problem")
        records.append(found)
    counts = [len(record.captions) for record in records]
    return Captions(
        images=[record.image for record in records],
        texts=[text for record in records for text in record.captions],
        image_of=np.repeat(np.arange(len(records), dtype=np.int64), counts),
        splits=[record.split for record in records],
        image_ids=_column([record.image_id] for record in records),
        caption_ids=_column(record.caption_ids or [None] for record in records),
    )


def _column(ids: Iterable[Sequence[int | None]]) -> np.ndarray | None:
    """Ids of all records as int64, or None where one is absent."""
    flat = [key for of_record in ids for key in of_record]
    return None if None in flat else np.array(flat, dtype=np.int64)


def scan_captions(path: Path) -> Iterator[Record | Problem]:
    """Everything in a caption file: photos that can be used, and what is wrong with the others.

    A photo comes once, with its captions that have words; a file yields at least one thing.

    Raises:
        DataError: there is no such file, or a folder holds none or several.
    """
    path = find_captions(path)
    seen: dict[str, Record] = {}
    empty = True
    for found in _records(path):
        empty = False
        yield from [found] if isinstance(found, Problem) else _checked(found, seen)
    if empty:
        yield Problem("malformed", str(path), "holds no photo")


def find_captions(path: Path) -> Path:
    """The caption file that a path means: itself, or the only one in that folder.

    A folder in SCAN's format is itself such a file: its lists belong together.

    Raises:
        DataError: there is none, or there are several.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder")
    found = sorted({file for name in FILE_NAMES for file in path.glob(name) if file.is_file()})
    lists = [path] if any(path.glob(_LISTS)) else []
    if len(found) + len(lists) == 1:
        return (found + lists)[0]
    names = ", ".join([file.name for file in found] + [_LISTS] * len(lists)) or "none"
    raise DataError(
        f"{path}: expected one caption file here ({', '.join(FILE_NAMES)}), or the lists of a "
        f"folder in SCAN's format ({_LISTS}), found {names}; "
        "give the path of the file itself, or keep them apart"
    )


def _records(path: Path) -> Iterator[Record | Problem]:
    if path.is_file():
        return parse(path)
    return scan_precomp(path)


def _checked(record: Record, seen: dict[str, Record]) -> Iterator[Record | Problem]:
    """What holds for every form: a photo is listed once and has captions, captions have words."""
    if (first := seen.get(record.image)) is not None:
        text = f"{record.image} is already listed at {first.where}"
        if first.split != record.split:
            text += f", there in split {first.split}, here in {record.split}"
            yield Problem("photo in several splits", record.where, text)
        else:
            yield Problem("photo listed twice", record.where, text)
        return
    seen[record.image] = record
    if not record.captions:
        yield Problem("photo without captions", record.where, f"{record.image} has no captions")
        return
    kept = []
    for number, (text, place) in enumerate(zip(record.captions, record.places, strict=True)):
        if text.strip():
            kept.append(number)
        else:
            yield Problem("empty caption", place, f"a caption of {record.image} has no words")
    if kept:
        record.captions = [record.captions[number].strip() for number in kept]
        record.places = [record.places[number] for number in kept]
        if record.caption_ids is not None:
            record.caption_ids = [record.caption_ids[number] for number in kept]
        yield record
