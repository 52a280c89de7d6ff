"""The forms of caption files, each told by its content and read to records.

JSONL (`{"image", "captions", "split"}` a line), Karpathy's JSON (`dataset_flickr8k.json`), COCO's
caption annotations (`captions_val2017.json`), CSV (`image,caption` or `image,caption,split`), and
the token files of Flickr8k and Flickr30k (`1000092795.jpg#0`, a tab, the caption).
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hgan.data.captions.types import Problem, Record, is_id, is_text, split_name
from hgan.errors import DataError

FILE_NAMES = (
    "captions.jsonl",
    "dataset_*.json",
    "captions_*.json",
    "*.csv",
    "*.token",
    "*.token.txt",
)
"""How caption files are called, where a folder that holds one is named in their place."""

_TOKEN_LINE = re.compile(r"([^\t]+)#\d+\t(.*)")


def is_token_line(line: str) -> bool:
    """True for a line of Flickr8k's and Flickr30k's token files."""
    return _TOKEN_LINE.fullmatch(line) is not None


def parse(path: Path) -> Iterator[Record | Problem]:
    """Tell the form of a file by its content, and read it.

    Raises:
        DataError: the file cannot be read.
    """
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
        yield from _parse_tokens(path, text)
    elif start.startswith(("{", "[")) or path.suffix in (".json", ".jsonl"):
        yield from _parse_json(path, text)
    else:
        yield from _parse_csv(path, text)


def _parse_json(path: Path, text: str) -> Iterator[Record | Problem]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of too many digits
        # Lines of JSON are no JSON document either: the second one is "extra data".
        if path.suffix == ".json" and not str(error).startswith("Extra data"):
            yield Problem("malformed", str(path), f"not JSON ({error})")
        else:
            yield from _parse_jsonl(path, text)
        return
    if not isinstance(document, dict) or "images" not in document:
        yield _photo(document, f"{path}:1")
    elif "annotations" in document:
        yield from _parse_coco(path, document["images"], document["annotations"])
    else:
        yield from _parse_karpathy(path, document["images"])


def _parse_jsonl(path: Path, text: str) -> Iterator[Record | Problem]:
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: U+2028 is no line end
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Problem("malformed", where, f"not JSON ({error})")
            continue
        yield _photo(value, where)


def _photo(value: Any, where: str) -> Record | Problem:
    """A line of JSONL."""
    found = _record(value, "image", "captions", where)
    if isinstance(found, Record):
        _set_ids(found, value.get("image_id"), value.get("caption_ids"))
    return found


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
            ids = [sentence.get("sentid") for sentence in value["sentences"]]
            given = ids if all(map(is_id, ids)) else value.get("sentids")
            _set_ids(found, value.get("cocoid", value.get("imgid")), given)
        yield found


def _parse_coco(path: Path, images: Any, annotations: Any) -> Iterator[Record | Problem]:
    """Photos and captions stand in two lists, joined by the photo's id."""
    if not isinstance(images, list) or not isinstance(annotations, list):
        yield Problem("malformed", str(path), '"images" and "annotations" are not both lists')
        return
    records: dict[int, Record] = {}
    for number, value in enumerate(images):
        where = f"{path}: images[{number}]"
        key, name = _members(value, "id", "file_name")
        if not is_id(key) or not is_text(name) or not name.strip():
            yield Problem("malformed", where, '"id" (a whole number) or "file_name" is missing')
        elif (first := records.get(key)) is not None:
            text = f"its id, {key}, is already that of {first.image} at {first.where}"
            yield Problem("photo listed twice", where, text)
        else:
            records[key] = Record(name, None, where, image_id=key, caption_ids=[])
    for number, value in enumerate(annotations):
        where = f"{path}: annotations[{number}]"
        key, owner, text = _members(value, "id", "image_id", "caption")
        if not is_id(key) or not is_id(owner) or not is_text(text):
            problem = '"id", "image_id" (whole numbers) or "caption" is missing'
            yield Problem("malformed", where, f"{problem}; read COCO's captions_*.json")
        elif (record := records.get(owner)) is None or record.caption_ids is None:
            yield Problem("malformed", where, f'"image_id" {owner} is of no photo in "images"')
        else:
            record.captions.append(text)
            record.places.append(where)
            record.caption_ids.append(key)
    yield from records.values()


def _members(value: Any, *keys: str) -> list[Any]:
    return [value.get(key) for key in keys] if isinstance(value, dict) else [None] * len(keys)


def _record(value: Any, image_key: str, captions_key: str, where: str) -> Record | Problem:
    """One photo of a JSON form; a caption is text, or an object whose "raw" is."""
    if not isinstance(value, dict):
        return Problem("malformed", where, "not a JSON object")
    for key in (image_key, captions_key):
        if key not in value:
            return Problem("malformed", where, f'"{key}" is missing')
    image, captions, split = value[image_key], value[captions_key], value.get("split")
    if not is_text(image) or not image.strip():
        return Problem("malformed", where, f'"{image_key}" is not the name of a file')
    if not isinstance(captions, list):
        return Problem("malformed", where, f'"{captions_key}" is not a list')
    if captions_key == "sentences":
        captions = [_members(sentence, "raw")[0] for sentence in captions]
    for i, text in enumerate(captions):
        if not is_text(text):
            return Problem("malformed", where, f'"{captions_key}"[{i}] is not text')
    if split is not None and not is_text(split):
        return Problem("malformed", where, '"split" is neither text nor null')
    return Record(image, split_name(split), where, captions, [where] * len(captions))


def _set_ids(record: Record, image_id: Any, caption_ids: Any) -> None:
    """Keep ids where they are whole numbers, one a caption; only figures by id need them."""
    if is_id(image_id):
        record.image_id = image_id
    if not isinstance(caption_ids, list) or len(caption_ids) != len(record.captions):
        return
    if all(map(is_id, caption_ids)):
        record.caption_ids = caption_ids


def _parse_tokens(path: Path, text: str) -> Iterator[Record | Problem]:
    records: dict[str, Record] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        match = _TOKEN_LINE.fullmatch(line)
        if match is None or not match[1].strip():
            problem = f"{line[:60]!r} is not PHOTO#NUMBER, a tab, and the caption"
            yield Problem("malformed", where, problem)
            continue
        image = match[1].strip()
        record = records.setdefault(image, Record(image, None, where))
        record.captions.append(match[2])
        record.places.append(where)
    yield from records.values()


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
    image, split = cells["image"].strip(), split_name(cells.get("split"))
    if not image:
        return [Problem("malformed", where, "the image cell is empty")]
    record = records.setdefault(image, Record(image, split, where))
    record.captions.append(cells["caption"])
    record.places.append(where)
    if record.split != split:
        text = f"{image} is in split {split} here, in {record.split} at {record.where}"
        return [Problem("photo in several splits", where, text)]
    return []
