"""Read CSV with the header `image,caption` or `image,caption,split`, one caption per row; or with
`file_name`, the metadata of an ImageFolder, which can have other columns too."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from hgan.data.captions.image_folder import CAPTIONS
from hgan.data.captions.types import Problem, Record, split_name

_OTHER = "#"
"""Start of the names of columns that are not read."""


def parse_csv(path: Path, text: str) -> Iterator[Record | Problem]:
    """The photos of a file, in the order of their first rows.

    The rows of a photo do not have to be consecutive.
    """
    # Without `strict`, an unclosed quote would make the rest of the file one caption.
    rows = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    records: dict[str, Record] = {}
    header: list[str] | None = None
    for number, row in _rows(rows):
        where = f"{path}:{number}"
        if isinstance(row, csv.Error):
            yield Problem("malformed", where, f"not CSV ({row})")
        elif header is None:
            header = _column_names(row)
            known = sorted(name for name in header if not name.startswith(_OTHER))
            if known not in (["caption", "image"], ["caption", "image", "split"]):
                text = f"the header is {','.join(row)[:80]!r}, not image,caption or "
                yield Problem("malformed", where, text + "image,caption,split")
                return
        elif len(row) != len(header):
            text = f"{len(row)} cells, but the header has {len(header)}; quote cells with commas"
            yield Problem("malformed", where, text)
        else:
            yield from _add_row(dict(zip(header, row, strict=True)), where, records)
    yield from records.values()


def _column_names(row: list[str]) -> list[str]:
    """The names of a header; for the metadata of an ImageFolder, those of other captions files,
    and numbers for the columns that are not read."""
    names = [name.strip().lower() for name in row]
    if "file_name" not in names:
        return names
    captions = next((name for name in CAPTIONS if name in names), "")
    known = {"file_name": "image", captions: "caption", "split": "split"}
    return [known.get(name, f"{_OTHER}{number}") for number, name in enumerate(names)]


def _rows(rows: Iterator[list[str]]) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """The first line number of each row, and the row or its error; blank rows are skipped."""
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


def _add_row(cells: dict[str, str], where: str, records: dict[str, Record]) -> list[Problem]:
    """Add the caption of a row to its photo; return the problems of the row."""
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
