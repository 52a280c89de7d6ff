"""Read data sets of Hugging Face, as Parquet or Arrow files: photos are in the tables.

A folder is what `Dataset.save_to_disk` or `DatasetDict.save_to_disk` has written, or one with
Parquet files, such as a copy of a data set on the hub. pyarrow reads both, without the package
`datasets`, which would copy the whole data set into its cache first.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from hgan.data.captions.types import Problem, Record, split_name
from hgan.data.conversion.samples import (
    CAPTION_IDS,
    CAPTIONS,
    IMAGE_IDS,
    Sample,
    named_split,
    set_row_ids,
    texts_of,
)
from hgan.errors import ConfigError, DataError
from hgan.files import parse_json
from hgan.runtime.photo_file import LARGEST_PHOTO, TOO_LARGE, open_inside, read_all

DICT, STATE = "dataset_dict.json", "state.json"
"""Files of `DatasetDict.save_to_disk`, and of `Dataset.save_to_disk`."""
ROWS = 32
"""Rows that are read at once."""
_NUMBERED = re.compile(r"captions?_?\d+")
_PHOTOS = ("image", "jpg", "png", "img", "photo")
_NAMES = ("filename", "file_name", "filepath", "image_path")


def has_tables(source: Path) -> bool:
    """Whether a path is a data set of Hugging Face: a Parquet file, or a folder with tables."""
    if source.is_dir():
        saved = (source / DICT).is_file() or (source / STATE).is_file()
        return saved or next(source.rglob("*.parquet"), None) is not None
    return source.suffix == ".parquet"


def read_tables(source: Path, column: str | None, split: str | None) -> Iterator[Sample | Problem]:
    """The samples of a data set.

    The split of a photo is in its column `split`, or else in the path of the file, or `split`.

    Args:
        source: a folder, or one Parquet file.
        column: the column with the captions; by default one of `CAPTIONS`, or the columns
            `caption_0`, `caption_1` and so on.
        split: the split of photos whose split is not known otherwise.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: a file is damaged, or has no column of photos or captions.
    """
    if find_spec("pyarrow") is None:
        raise ConfigError(
            f"{source}: Parquet and Arrow files need pyarrow; pip install 'hgan[datasets]'"
        )
    root = source if source.is_dir() else source.parent
    for file, own in _files(source):
        for number, row, columns in _rows(file, column):
            where = f"{file}: row {number}"
            record = _record(row, columns, where, own or split_name(split))
            photo = _photo(row[columns.photo], root, where)
            yield photo if isinstance(photo, Problem) else Sample(record, photo)


def _files(source: Path) -> Iterator[tuple[Path, str | None]]:
    """The files of a data set, with the split of each."""
    if not source.is_dir():
        yield source, named_split(PurePosixPath(source.name))
    elif (source / DICT).is_file():
        for name in _json(source / DICT).get("splits") or []:
            if PurePath(name).name == name:
                yield from _files(source / name)
    elif (source / STATE).is_file():
        split = split_name(_json(source / STATE).get("_split")) or split_name(source.name)
        for file in sorted(source.glob("*.arrow")):
            yield file, split
    else:
        for file in sorted(source.rglob("*.parquet")):
            yield file, named_split(PurePosixPath(file.relative_to(source).as_posix()))


def _json(path: Path) -> dict[str, Any]:
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    return values if isinstance(values, dict) else {}


# --- rows


@dataclass(frozen=True)
class _Columns:
    """Which column of a table has what."""

    photo: str
    captions: list[str]
    others: list[str]
    """Columns with names, splits and ids."""


def _rows(file: Path, column: str | None) -> Iterator[tuple[int, dict[str, Any], _Columns]]:
    """The rows of a file with the columns that are needed, numbered from 1."""
    import pyarrow as pa
    from pyarrow import ipc, parquet

    try:
        with pa.memory_map(str(file)) as mapped:
            if file.suffix == ".parquet":
                table = parquet.ParquetFile(mapped)
                columns = _choose(file, table.schema_arrow, column)
                needed = [columns.photo, *columns.captions, *columns.others]
                batches = table.iter_batches(ROWS, columns=needed)
            else:
                table = ipc.open_stream(mapped)
                columns = _choose(file, table.schema, column)
                needed = [columns.photo, *columns.captions, *columns.others]
                batches = (
                    batch.select(needed).slice(start, ROWS)
                    for batch in table
                    for start in range(0, batch.num_rows, ROWS)
                )
            number = 0
            for batch in batches:
                batch.validate(full=True)  # wrong offsets would read other memory
                for row in batch.to_pylist():
                    number += 1
                    yield number, row, columns
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise DataError(f"{file}: no such file") from error
        raise DataError(f"{file}: damaged ({error}); download or save it again") from error


def _choose(file: Path, schema: Any, column: str | None) -> _Columns:
    """Find the columns of photos and captions in a schema.

    Raises:
        DataError: there are none; the message lists the columns.
    """
    names: list[str] = schema.names
    listed = ", ".join(f"{field.name} ({field.type})" for field in schema)
    photos = [name for name in _PHOTOS if name in names]
    photos += [field.name for field in schema if _has_bytes(field.type)]
    if not photos:
        raise DataError(f"{file}: no column of photos; its columns are {listed:.400}")
    numbered = [name for name in names if _NUMBERED.fullmatch(name)]
    chosen = [column] if column else [name for name in CAPTIONS if name in names][:1]
    chosen = chosen or sorted(numbered, key=lambda name: int(re.sub(r"\D", "", name)))
    if not chosen or chosen[0] not in names:
        wrong = f"no column {column}" if column else "no column of captions that is known"
        raise DataError(
            f"{file}: {wrong}; name it with --column NAME. Its columns are {listed:.400}"
        )
    wanted = {"split", "sentences", *_NAMES, *IMAGE_IDS, *CAPTION_IDS} - {*chosen, photos[0]}
    others = [name for name in names if name in wanted]
    if doubled := [name for name in (photos[0], *chosen, *others) if names.count(name) > 1]:
        raise DataError(f"{file}: has several columns named {doubled[0]}; rename all but one")
    return _Columns(photos[0], chosen, others)


def _has_bytes(kind: Any) -> bool:
    """Whether a column has photos, as Hugging Face stores them."""
    from pyarrow import types

    return types.is_struct(kind) and {"bytes", "path"} <= {field.name for field in kind}


def _record(row: dict[str, Any], columns: _Columns, where: str, split: str | None) -> Record:
    texts = [text.strip() for name in columns.captions for text in texts_of(row[name])]
    own = row.get("split")
    record = Record(
        image=_name(row, columns),
        split=split_name(own) if isinstance(own, str) and own.strip() else split,
        where=where,
        captions=texts,
        places=[where] * len(texts),
    )
    set_row_ids(record, row)
    return record


def _name(row: dict[str, Any], columns: _Columns) -> str:
    """The name of a photo's file in the data set; empty if it has none."""
    for name in _NAMES:
        if isinstance(value := row.get(name), str) and value.strip():
            return value.strip()
    photo = row[columns.photo]
    path = photo.get("path") if isinstance(photo, dict) else photo
    return PurePath(path).name if isinstance(path, str) else ""  # often a path on another machine


def _photo(value: Any, root: Path, where: str) -> bytes | Problem:
    """The content of a photo, which is in the table or in a file below the data set's folder."""
    data = value.get("bytes") if isinstance(value, dict) else value
    path = value.get("path") if isinstance(value, dict) else value
    if isinstance(data, bytes):
        return data if len(data) <= LARGEST_PHOTO else Problem("left out", where, TOO_LARGE)
    if not isinstance(path, str) or not path:
        return Problem("left out", where, "no photo")
    try:
        file, _ = open_inside(root, path)
        with file:
            return read_all(file, root / path)
    except DataError as error:
        text = f"its photo is not in the table, and {error}; `save_to_disk` stores photos in it"
        return Problem("left out", where, text)
