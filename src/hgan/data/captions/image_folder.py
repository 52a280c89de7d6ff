"""Read the metadata of Hugging Face's ImageFolder: `file_name` and captions, in a file beside the
photos, or in one file for each split, in a folder of that name.

`metadata.jsonl` has one photo per line, whose captions are a text or a list of texts, and
`metadata.csv` one caption per row.
"""

from pathlib import Path
from typing import Any

from hgan.data.captions.types import Problem, Record, is_text, split_name

FILE_NAMES = ("metadata.jsonl", "metadata.csv")
CAPTIONS = ("captions", "caption", "text")
"""Keys of the captions, of which the first that is there is read."""


def split_files(folder: Path) -> list[Path]:
    """The metadata of the splits of a folder; empty if it has no folders with metadata."""
    return sorted(file for name in FILE_NAMES for file in folder.glob(f"*/{name}"))


def inside_split(found: Record | Problem, file: Path) -> Record | Problem:
    """The photo of a metadata file, named relative to the folder of all splits."""
    if isinstance(found, Record):
        found.image = f"{file.parent.name}/{found.image}"
        found.split = found.split or split_name(file.parent.name)
    return found


def parse_metadata(value: dict[str, Any], where: str) -> Record | Problem:
    """The photo of one line of `metadata.jsonl`."""
    image, split = value["file_name"], value.get("split")
    if not is_text(image) or not image.strip():
        return Problem("malformed", where, '"file_name" is not a file name')
    key = next((key for key in CAPTIONS if key in value), None)
    if key is None:
        text = f"no captions; they must be in {' or '.join(CAPTIONS)}, not in {', '.join(value)}"
        return Problem("malformed", where, text)
    texts = value[key] if isinstance(value[key], list) else [value[key]]
    if not all(map(is_text, texts)):
        return Problem("malformed", where, f'"{key}" is neither text nor a list of texts')
    if split is not None and not is_text(split):
        return Problem("malformed", where, '"split" is neither text nor null')
    return Record(image, split_name(split), where, texts, [where] * len(texts))
