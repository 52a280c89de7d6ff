"""Read COCO's caption annotations (`captions_val2017.json`): two lists, joined by the photo id."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hgan.data.captions.json_values import members
from hgan.data.captions.types import Problem, Record, is_id, is_text


def parse_coco(path: Path, images: Any, annotations: Any) -> Iterator[Record | Problem]:
    """The photos of a document with the members "images" and "annotations"."""
    if not isinstance(images, list) or not isinstance(annotations, list):
        yield Problem("malformed", str(path), '"images" and "annotations" are not both lists')
        return
    records: dict[int, Record] = {}
    for number, value in enumerate(images):
        where = f"{path}: images[{number}]"
        key, name = members(value, "id", "file_name")
        if not is_id(key) or not is_text(name) or not name.strip():
            yield Problem("malformed", where, '"id" (an integer) or "file_name" is missing')
        elif (first := records.get(key)) is not None:
            text = f"its id, {key}, is already used by {first.image} at {first.where}"
            yield Problem("photo listed twice", where, text)
        else:
            records[key] = Record(name, None, where, image_id=key, caption_ids=[])
    for number, value in enumerate(annotations):
        where = f"{path}: annotations[{number}]"
        key, owner, text = members(value, "id", "image_id", "caption")
        if not is_id(key) or not is_id(owner) or not is_text(text):
            problem = '"id", "image_id" (integers) or "caption" is missing'
            yield Problem("malformed", where, f"{problem}; read COCO's captions_*.json")
        elif (record := records.get(owner)) is None or record.caption_ids is None:
            yield Problem("malformed", where, f'no photo in "images" has the "image_id" {owner}')
        else:
            record.captions.append(text)
            record.places.append(where)
            record.caption_ids.append(key)
    yield from records.values()
