"""Check JSON values; used by the readers of JSON Lines, Karpathy's JSON and COCO's annotations."""

from typing import Any

from hgan.data.captions.types import Problem, Record, is_id, is_text, split_name


def members(value: Any, *keys: str) -> list[Any]:
    """Members of an object; None for missing members, or if the value is not an object."""
    return [value.get(key) for key in keys] if isinstance(value, dict) else [None] * len(keys)


def photo_record(value: Any, image_key: str, captions_key: str, where: str) -> Record | Problem:
    """One photo; each caption is a string or, under the key "sentences", an object with "raw"."""
    if not isinstance(value, dict):
        return Problem("malformed", where, "not a JSON object")
    for key in (image_key, captions_key):
        if key not in value:
            return Problem("malformed", where, f'"{key}" is missing')
    image, captions, split = value[image_key], value[captions_key], value.get("split")
    if not is_text(image) or not image.strip():
        return Problem("malformed", where, f'"{image_key}" is not a file name')
    if not isinstance(captions, list):
        return Problem("malformed", where, f'"{captions_key}" is not a list')
    if captions_key == "sentences":
        captions = [members(sentence, "raw")[0] for sentence in captions]
    for i, text in enumerate(captions):
        if not is_text(text):
            return Problem("malformed", where, f'"{captions_key}"[{i}] is not text')
    if split is not None and not is_text(split):
        return Problem("malformed", where, '"split" is neither text nor null')
    return Record(image, split_name(split), where, captions, [where] * len(captions))


def set_ids(record: Record, image_id: Any, caption_ids: Any) -> None:
    """Store the data set's ids if they are integers, one for each caption.

    Other ids are ignored: only the protocols of MS-COCO need them.
    """
    if is_id(image_id):
        record.image_id = image_id
    if not isinstance(caption_ids, list) or len(caption_ids) != len(record.captions):
        return
    if all(map(is_id, caption_ids)):
        record.caption_ids = caption_ids
