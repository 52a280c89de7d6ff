"""Read token files of Flickr8k and Flickr30k: `1000092795.jpg#0`, a tab, the caption."""

import re
from collections.abc import Iterator
from pathlib import Path

from hgan.data.captions.types import Problem, Record

_LINE = re.compile(r"([^\t]+)#\d+\t(.*)")


def is_token_line(line: str) -> bool:
    """Whether a line has the format of a token file."""
    return _LINE.fullmatch(line) is not None


def parse_tokens(path: Path, text: str) -> Iterator[Record | Problem]:
    """The photos of a file, in the order of their first captions."""
    records: dict[str, Record] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        match = _LINE.fullmatch(line)
        if match is None or not match[1].strip():
            problem = f"{line[:60]!r} is not PHOTO#NUMBER, a tab, and the caption"
            yield Problem("malformed", where, problem)
            continue
        image = match[1].strip()
        record = records.setdefault(image, Record(image, None, where))
        record.captions.append(match[2])
        record.places.append(where)
    yield from records.values()
