"""Fuzz targets: data sets with photos, as `hgan data convert` turns them into a folder."""

import io
import shutil
import tarfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pyarrow as pa
from PIL import Image
from pyarrow import ipc, parquet

from hgan.data.captions.read import read_captions
from hgan.data.conversion.convert import convert
from hgan.progress import console
from tests.fuzz.captions import consistent
from tests.fuzz.files import folder, named, write
from tests.fuzz.harness import Target

_MEMORY = 96 * 2**20
"""pyarrow keeps some tens of megabytes for itself."""


def _converts(name: str) -> Callable[[bytes], None]:
    """Converts a data set of one file of this name."""
    return lambda data: _convert(write(name, data))


def _saved(data: bytes) -> None:
    """Convert a folder of `Dataset.save_to_disk`."""
    write("saved/state.json", b'{"_split": "train"}')
    _convert(write("saved/data-00000-of-00001.arrow", data).parent)


def _convert(source: Path) -> None:
    """Convert a data set, and read what was made of it."""
    made = folder("made")
    shutil.rmtree(made, ignore_errors=True)
    console.quiet = True  # samples that are left out are listed
    try:
        with named(source):
            convert(source, made)
    finally:
        console.quiet = False
    found = read_captions(made / "captions.jsonl")
    consistent(found)
    files = {
        path.relative_to(made / "images").as_posix()
        for path in (made / "images").rglob("*")
        if path.is_file()
    }
    assert files == set(found.images)


@cache
def _png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (1, 1), shade).save(file, "PNG")
    return file.getvalue()


def _tar(members: list[tuple[str, bytes]], form: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def _shards() -> list[bytes]:
    pair = [("000.png", _png(1)), ("000.txt", b"a red car\n")]
    values = b'{"caption": ["x", "y"], "split": "dev", "image_id": 7, "caption_ids": [1, 2]}'
    more = [*pair, ("in/001.png", _png(2)), ("in/001.json", values), ("in/001.cls", b"3")]
    long = [(f"{'deep/' * 30}\xf8.png", _png(3)), (f"{'deep/' * 30}\xf8.txt", b"long")]
    return [
        _tar(pair, tarfile.USTAR_FORMAT),
        _tar(more, tarfile.GNU_FORMAT),
        _tar(long, tarfile.GNU_FORMAT),
        _tar(long, tarfile.PAX_FORMAT),
    ]


def _tables() -> list[pa.Table]:
    photos = [{"bytes": _png(number), "path": f"{number}.png"} for number in range(2)]
    return [
        pa.table({"image": photos, "caption": ["a red car", "x"]}),
        pa.table(
            {
                "image": photos,
                "sentences": [[{"raw": "a", "sentid": 1}], [{"raw": "b", "sentid": 2}]],
                "filename": ["in/a.png", "../b.png"],
                "split": ["train", "restval"],
                "cocoid": [7, 8],
            }
        ),
        pa.table({"jpg": [_png(1)], "caption_0": ["a"], "caption_1": [None]}),
    ]


def _parquet() -> list[bytes]:
    files = []
    for table, compression in zip(_tables(), ("none", "snappy", "none"), strict=True):
        file = io.BytesIO()
        parquet.write_table(table, file, compression=compression)
        files.append(file.getvalue())
    return files


def _arrow() -> list[bytes]:
    files = []
    for table in _tables():
        file = io.BytesIO()
        with ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)
        files.append(file.getvalue())
    return files


TARGETS = {
    "shards": Target(
        _converts("shards/train-000.tar"),
        _shards,
        (".png", ".txt", ".json", "ustar\\x0000", "ustar  \\x00", "path=", "size=", "GNU.sparse.",
         "\\x80\\x00", "0000644\\x00", "00000000000\\x00", "././@LongLink", "../", "/"),
        longest=2**14,
    ),
    "parquet": Target(
        _converts("train-00000.parquet"), _parquet, ("PAR1", "image", "caption", "bytes", "path"),
        longest=2**14, memory=lambda: _MEMORY,
    ),
    "arrow": Target(
        _saved, _arrow, ("\\xff\\xff\\xff\\xff", "image", "caption", "bytes", "path"),
        longest=2**14, memory=lambda: _MEMORY,
    ),
}  # fmt: skip
