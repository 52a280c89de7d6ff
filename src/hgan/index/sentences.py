"""Read the sentences of a file: captions in any format, or plain text with one per line."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from hgan.data.captions.read import scan_captions
from hgan.data.captions.token_file import is_token_line
from hgan.data.captions.types import Problem
from hgan.errors import DataError, HganError
from hgan.index.store.contract import Entry
from hgan.runtime.metadata.text import clean_tag

LONGEST = 10_000
"""Maximum length of a sentence in characters. Models read only the first few dozen words."""


def find_sentences(file: Path, skipped: dict[str, str]) -> list[Entry]:
    """Read all sentences of a file in order, each with its photo if the file names one.

    The same sentence of the same photo is returned once. The split is stored as a tag.

    Args:
        file: JSON lines, CSV or another format of caption files (see
            `hgan.data.captions.read`), or a `.txt` file with one sentence per line.
        skipped: places without a valid sentence are added to it, with the reason.

    Raises:
        HganError: the file does not exist, cannot be read, or contains no sentences.
    """
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    found: dict[str, Entry] = {}
    places: dict[str, str] = {}
    for place, photo, text, split in _read(file, skipped):
        if len(text) > LONGEST:
            skipped[place] = f"too long: {len(text):,} characters, at most {LONGEST:,} are allowed"
            continue
        digest = hashlib.sha256(text.encode()).hexdigest()
        tags = (clean_tag(split),) if split else ()
        entry = Entry(photo, len(text.encode()), 0, digest, file_tags=tags, text=text)
        if entry.id in found:
            skipped[place] = f"the same sentence as {places[entry.id]}"
        else:
            found[entry.id], places[entry.id] = entry, place
    if not found:
        raise HganError(f"{file}: contains no sentences")
    return list(found.values())


def _read(file: Path, skipped: dict[str, str]) -> Iterator[tuple[str, str, str, str | None]]:
    """Yield place, photo, sentence and split of each sentence."""
    if file.suffix.lower() == ".txt":
        lines = _lines(file)
        if not any(is_token_line(line) for line in lines[:1]):
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield f"{file.name}:{number}", "", line.strip(), None
            return
    for record in scan_captions(file):
        if isinstance(record, Problem):
            skipped[record.where] = record.text
        else:
            for place, text in zip(record.places, record.captions, strict=True):
                yield place, record.image, text, record.split


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").split("\n")  # U+2028 does not end a line
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text; save the file as UTF-8") from error
