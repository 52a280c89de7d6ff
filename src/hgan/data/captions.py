"""Caption files of several forms to one: photos, captions, and which caption is of which photo.

Forms: JSONL (`{"image", "captions", "split"}` a line), Karpathy's JSON (`dataset_flickr8k.json`),
and CSV (`image,caption` or `image,caption,split`, several rows a photo).
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hgan.errors import DataError

_SPLIT_NAMES = {"dev": "val", "validation": "val", "restval": "train"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_FORMS = "captions.jsonl", "dataset_*.json", "*.csv"


@dataclass(frozen=True, eq=False)
class Captions:
    """Photos and their captions, with an explicit ground truth."""

    images: list[str]
    """(N) photo files relative to the photo folder; unique, in file order."""
    texts: list[str]
    """(T) all captions."""
    image_of: np.ndarray
    """(T,) int64: the position in `images` of each caption's photo."""
    splits: list[str | None]
    """(N) the split of each photo: train, val, test, another name, or none."""

    def split(self, name: str) -> "Captions":
        """Only the photos of one split, and their captions, in the same order.

        Raises:
            DataError: no photo is in that split.
        """
        name = _split_name(name) or ""
        inside = np.array([split == name for split in self.splits], dtype=bool)
        if not inside.any():
            counts = Counter(split or "(none)" for split in self.splits)
            found = ", ".join(f"{key} ({count})" for key, count in counts.items())
            raise DataError(f"no photo is in split {name!r}; the splits here are {found}")
        position = np.cumsum(inside) - 1  # old position of a photo -> new one
        kept = np.flatnonzero(inside[self.image_of])
        return Captions(
            images=[self.images[i] for i in np.flatnonzero(inside)],
            texts=[self.texts[t] for t in kept],
            image_of=position[self.image_of[kept]],
            splits=[name] * int(inside.sum()),
        )

    def of_image(self) -> list[np.ndarray]:
        """For each photo, the positions of its captions in `texts`, ascending."""
        order = np.argsort(self.image_of, kind="stable")
        ends = np.cumsum(np.bincount(self.image_of, minlength=len(self.images)))
        return np.split(order, ends)[:-1]


@dataclass
class Record:
    """One photo of a caption file."""

    image: str
    split: str | None
    where: str
    """File and line (or position) that names the photo."""
    captions: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    """File and line of each caption."""


@dataclass(frozen=True)
class Problem:
    """Something in a caption file that makes it wrong to train on."""

    kind: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def read_captions(path: Path) -> Captions:
    """Read a caption file, or a folder that holds one; the form is told by the content.

    Captions are kept as they are written, apart from white space around them.

    Raises:
        DataError: the file is missing, not UTF-8, or malformed anywhere; names file and line.
    """
    images: list[str] = []
    texts: list[str] = []
    image_of: list[int] = []
    splits: list[str | None] = []
    for found in scan_captions(path):
        if isinstance(found, Problem):
            raise DataError(f"{found}; `hgan data check {path}` lists every problem")
        image_of.extend([len(images)] * len(found.captions))
        images.append(found.image)
        texts.extend(found.captions)
        splits.append(found.split)
    return Captions(images, texts, np.array(image_of, dtype=np.int64), splits)


def scan_captions(path: Path) -> Iterator[Record | Problem]:
    """Everything in a caption file: photos that can be used, and what is wrong with the others.

    A photo comes once, with its captions that have words; a file yields at least one thing.

    Raises:
        DataError: there is no such file, or a folder holds none or several.
    """
    path = find_captions(path)
    seen: dict[str, Record] = {}
    empty = True
    for found in _parse(path):
        empty = False
        yield from [found] if isinstance(found, Problem) else _checked(found, seen)
    if empty:
        yield Problem("malformed", str(path), "holds no photo")


def find_captions(path: Path) -> Path:
    """The caption file that a path means: itself, or the only one in that folder.

    Raises:
        DataError: there is none, or there are several.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder")
    found = sorted(file for form in _FORMS for file in path.glob(form) if file.is_file())
    if len(found) == 1:
        return found[0]
    names = ", ".join(file.name for file in found) or "none"
    raise DataError(
        f"{path}: expected one caption file here ({', '.join(_FORMS)}), found {names}; "
        "give the path of the file itself"
    )


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
    for text, place in zip(record.captions, record.places, strict=True):
        if text.strip():
            kept.append((text.strip(), place))
        else:
            yield Problem("empty caption", place, f"a caption of {record.image} has no words")
    if kept:
        record.captions, record.places = [list(column) for column in zip(*kept, strict=True)]
        yield record


def _parse(path: Path) -> Iterator[Record | Problem]:
    """Tell the form by the content, and read it."""
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
    if not text.lstrip().startswith(("{", "[")) and path.suffix not in (".json", ".jsonl"):
        yield from _parse_csv(path, text)
        return
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        # Lines of JSON are no JSON document either: the second one is "extra data".
        if path.suffix == ".json" and not str(error).startswith("Extra data"):
            yield Problem("malformed", str(path), f"not JSON ({error})")
        else:
            yield from _parse_jsonl(path, text)
        return
    if isinstance(document, dict) and "images" in document:
        yield from _parse_karpathy(path, document["images"])
    else:
        yield _record(document, "image", "captions", f"{path}:1")


def _parse_jsonl(path: Path, text: str) -> Iterator[Record | Problem]:
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: U+2028 is no line end
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            yield Problem("malformed", where, f"not JSON ({error})")
            continue
        yield _record(value, "image", "captions", where)


def _parse_karpathy(path: Path, images: Any) -> Iterator[Record | Problem]:
    if not isinstance(images, list):
        yield Problem("malformed", str(path), '"images" is not a list')
        return
    for number, value in enumerate(images):
        where = f"{path}: images[{number}]"
        found = _record(value, "filename", "sentences", where)
        if isinstance(found, Record):
            found.places = [f"{where}.sentences[{i}]" for i in range(len(found.captions))]
            if folder := value.get("filepath"):  # MS-COCO's photos lie in two folders
                found.image = f"{folder}/{found.image}"
        yield found


def _record(value: Any, image_key: str, captions_key: str, where: str) -> Record | Problem:
    """One photo of a JSON form; a caption is text, or an object whose "raw" is."""
    if not isinstance(value, dict):
        return Problem("malformed", where, "not a JSON object")
    for key in (image_key, captions_key):
        if key not in value:
            return Problem("malformed", where, f'"{key}" is missing')
    image, captions, split = value[image_key], value[captions_key], value.get("split")
    if not _is_text(image) or not image.strip():
        return Problem("malformed", where, f'"{image_key}" is not the name of a file')
    if not isinstance(captions, list):
        return Problem("malformed", where, f'"{captions_key}" is not a list')
    if captions_key == "sentences":
        captions = [item.get("raw") if isinstance(item, dict) else None for item in captions]
    for i, text in enumerate(captions):
        if not _is_text(text):
            return Problem("malformed", where, f'"{captions_key}"[{i}] is not text')
    if split is not None and not _is_text(split):
        return Problem("malformed", where, '"split" is neither text nor null')
    return Record(image, _split_name(split), where, captions, [where] * len(captions))


def _parse_csv(path: Path, text: str) -> Iterator[Record | Problem]:
    """Rows of a photo may lie apart; photos come in the order of their first rows."""
    # Strict: without it, an unclosed quote swallows the rest of the file as one caption.
    rows = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    records: dict[str, Record] = {}
    header: list[str] | None = None
    for number, row in _csv_rows(rows):
        where = f"{path}:{number}"
        if isinstance(row, csv.Error):
            yield Problem("malformed", where, f"not CSV ({row})")
        elif header is None:
            header = [name.strip().lower() for name in row]
            if sorted(header) not in (["caption", "image"], ["caption", "image", "split"]):
                text = f"the header is {','.join(row)[:80]!r}, not image,caption or "
                yield Problem("malformed", where, text + "image,caption,split")
                return
        elif len(row) != len(header):
            text = f"{len(row)} cells under a header of {len(header)}; quote cells with commas"
            yield Problem("malformed", where, text)
        else:
            yield from _csv_row(dict(zip(header, row, strict=True)), where, records)
    yield from records.values()


def _csv_rows(rows: Iterator[list[str]]) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Rows that are not blank with the line each starts at; a broken row as its error."""
    end = 0
    while True:
        start, row = end + 1, None
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield start, error
        end = rows.line_num  # type: ignore[attr-defined]
        if row:
            yield start, row


def _csv_row(cells: dict[str, str], where: str, records: dict[str, Record]) -> Iterable[Problem]:
    image, split = cells["image"].strip(), _split_name(cells.get("split"))
    if not image:
        return [Problem("malformed", where, "the image cell is empty")]
    record = records.setdefault(image, Record(image, split, where))
    record.captions.append(cells["caption"])
    record.places.append(where)
    if record.split != split:
        text = f"{image} is in split {split} here, in {record.split} at {record.where}"
        return [Problem("photo in several splits", where, text)]
    return []


def _split_name(name: str | None) -> str | None:
    name = (name or "").strip().lower()
    return _SPLIT_NAMES.get(name, name) or None


def _is_text(value: Any) -> bool:
    """False also for half of a surrogate pair, which JSON can spell but no tokenizer reads."""
    return isinstance(value, str) and not _SURROGATE.search(value)
