"""Read caption files: detect the format from the content, read it, and check the photos.

| format | detected by |
|---|---|
| JSON Lines | lines starting with `{` |
| Karpathy's JSON | a document with "images" |
| COCO's annotations | a document with "images" and "annotations" |
| token file of Flickr8k and Flickr30k | its first line |
| CSV | any other text |
| metadata of an ImageFolder | `file_name` in JSON Lines or CSV, or in those of its folders |
| lists in SCAN's format | a folder with `*_caps.txt` |
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from hgan.data.captions.coco import parse_coco
from hgan.data.captions.csv_file import parse_csv
from hgan.data.captions.image_folder import inside_split, split_files
from hgan.data.captions.jsonl import parse_jsonl, parse_line
from hgan.data.captions.karpathy import parse_karpathy
from hgan.data.captions.precomp import scan_precomp
from hgan.data.captions.token_file import is_token_line, parse_tokens
from hgan.data.captions.types import Captions, Problem, Record
from hgan.errors import DataError
from hgan.files import parse_json

FILE_NAMES = (
    "captions.jsonl",
    "dataset_*.json",
    "captions_*.json",
    "metadata.jsonl",
    "*.csv",
    "*.token",
    "*.token.txt",
)
"""Names of caption files in a folder."""
_LISTS = "*_caps.txt"
"""Files that identify a folder in SCAN's format."""
_SAVED = ("dataset_dict.json", "state.json")
"""Files that identify a folder of Hugging Face's `save_to_disk`."""
_PACKED = ("*.tar", "*.parquet", "*/*.parquet")
"""Files of data sets whose photos and captions are together."""


def read_captions(path: Path) -> Captions:
    """Read a caption file of any format, or the only caption file in a folder.

    Captions are not changed, except that white space around them is removed.

    Raises:
        DataError: the file is missing, not UTF-8, or malformed; the message names file and line.
    """
    records: list[Record] = []
    for found in scan_captions(path):
        if isinstance(found, Problem):
            raise DataError(f"{found}; `hgan data check {path}` lists all problems")
        records.append(found)
    return join_records(records)


def join_records(records: Sequence[Record]) -> Captions:
    """The captions of photos as a data set, in the same order."""
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
    """Ids of all records as int64, or None if one is missing."""
    flat = [key for of_record in ids for key in of_record]
    return None if None in flat else np.array(flat, dtype=np.int64)


def scan_captions(path: Path) -> Iterator[Record | Problem]:
    """The valid photos of a caption file, and the problems of the others.

    Each photo is yielded once, with its non-empty captions. A file yields at least one photo or
    problem.

    Raises:
        DataError: there is no such file, or a folder contains none or several.
    """
    path = find_captions(path)
    seen: dict[str, Record] = {}
    empty = True
    for found in _records(path):
        empty = False
        yield from [found] if isinstance(found, Problem) else _checked(found, seen)
    if empty:
        yield Problem("malformed", str(path), "contains no photo")


def find_captions(path: Path) -> Path:
    """The caption file at a path, which is the file or a folder that contains only one.

    A folder in SCAN's format counts as one caption file, and so does an ImageFolder with splits.

    Raises:
        DataError: there is no caption file, or there are several; or the photos must be unpacked.
    """
    _check_unpacked(path)
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder")
    found = sorted({file for name in FILE_NAMES for file in path.glob(name) if file.is_file()})
    lists = [path] if any(path.glob(_LISTS)) else []
    if len(found) + len(lists) == 1:
        return (found + lists)[0]
    if not found and not lists and split_files(path):
        return path
    names = ", ".join([file.name for file in found] + [_LISTS] * len(lists)) or "none"
    raise DataError(
        f"{path}: expected one caption file here ({', '.join(FILE_NAMES)}), or the lists of a "
        f"folder in SCAN's format ({_LISTS}), found {names}; give the path of the file itself, or "
        "move the files to separate folders"
    )


def _check_unpacked(path: Path) -> None:
    """Raise `DataError` for a data set whose photos and captions are together."""
    packed = path.suffix in (".parquet", ".arrow", ".tar") or str(path).startswith("hf-dataset:")
    if path.is_dir():
        packed = _has(path, _SAVED) or (_has(path, _PACKED) and not _has(path, FILE_NAMES))
    if packed:
        raise DataError(
            f"{path}: has photos and captions together; `hgan data convert {path} FOLDER` writes "
            "them into a folder once, whose captions.jsonl is read here"
        )


def _has(folder: Path, names: Sequence[str]) -> bool:
    return any(next(folder.glob(name), None) is not None for name in names)


def find_photos(path: Path) -> Path:
    """The folder of the photos of a caption file, unless it is named: `images` next to the file if
    there is such a folder, or else the folder of the file; an ImageFolder itself.

    Raises:
        DataError: see `find_captions`.
    """
    file = find_captions(path)
    if file.is_dir() and split_files(file):
        return file
    folder = file.parent
    return folder / "images" if (folder / "images").is_dir() else folder


def _records(path: Path) -> Iterator[Record | Problem]:
    """The photos of a file of any format, or of a folder in SCAN's format."""
    if not path.is_file():
        if files := split_files(path):
            yield from (inside_split(found, file) for file in files for found in _records(file))
        else:
            yield from scan_precomp(path)
        return
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        yield Problem("not UTF-8", f"{path}:{line}", "not UTF-8 text; save the file as UTF-8")
        text = data.decode("utf-8-sig", errors="replace")
    start = text.lstrip()
    if path.suffix == ".token" or is_token_line(start.split("\n", 1)[0]):
        yield from parse_tokens(path, text)
    elif start.startswith(("{", "[")) or path.suffix in (".json", ".jsonl"):
        yield from _parse_json(path, text)
    else:
        yield from parse_csv(path, text)


def _parse_json(path: Path, text: str) -> Iterator[Record | Problem]:
    """The photos of a JSON document, or of JSON Lines."""
    try:
        document = parse_json(text)
    except ValueError as error:  # also for numbers with too many digits
        # For JSON Lines, the error is that the second line is "extra data".
        if path.suffix == ".json" and not str(error).startswith("Extra data"):
            yield Problem("malformed", str(path), f"not JSON ({error})")
        else:
            yield from parse_jsonl(path, text)
        return
    if not isinstance(document, dict) or "images" not in document:
        yield parse_line(document, f"{path}:1")
    elif "annotations" in document:
        yield from parse_coco(path, document["images"], document["annotations"])
    else:
        yield from parse_karpathy(path, document["images"])


def _checked(record: Record, seen: dict[str, Record]) -> Iterator[Record | Problem]:
    """Check, for all formats, that each photo is listed once and has non-empty captions."""
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
