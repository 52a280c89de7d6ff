"""Read JSON Lines: `{"image": ..., "captions": [...], "split": ...}`, one photo per line, or with
`file_name` as the metadata of an ImageFolder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hgan.data.captions.image_folder import parse_metadata
from hgan.data.captions.json_values import photo_record, set_ids
from hgan.data.captions.types import Problem, Record
from hgan.files import parse_json


def parse_jsonl(path: Path, text: str) -> Iterator[Record | Problem]:
    """The photos of a file."""
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: U+2028 is no line end
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            value = parse_json(line)
        except ValueError as error:
            yield Problem("malformed", where, f"not JSON ({error})")
            continue
        yield parse_line(value, where)


def parse_line(value: Any, where: str) -> Record | Problem:
    """The photo of one line, which is already decoded."""
    if isinstance(value, dict) and "file_name" in value and "image" not in value:
        return parse_metadata(value, where)
    found = photo_record(value, "image", "captions", where)
    if isinstance(found, Record):
        set_ids(found, value.get("image_id"), value.get("caption_ids"))
    return found
