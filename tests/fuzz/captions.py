"""Fuzz targets: caption files of each format, through the function that all programs call."""

from collections.abc import Callable
from pathlib import Path

from hgan.data.captions.read import read_captions, scan_captions
from hgan.data.captions.types import Captions, Problem, is_text
from tests.fuzz.files import BETWEEN, folder, named, write, write_all
from tests.fuzz.harness import Target

_LISTS = "test_caps.txt", "test_ids.txt", "id_mapping.json"
_JSON = ("{", "}", "[", "]", ":", ",", '"', "null", "true", "1e9", "-1", "\\\\ud800", "NaN")


def _file(name: str) -> Callable[[bytes], None]:
    """Reads a caption file of this name."""
    return lambda data: _read(write(name, data))


def _scan_lists(data: bytes) -> None:
    """Read the lists of a folder in SCAN's format."""
    write_all([f"lists/{name}" for name in _LISTS], data)
    _read(folder("lists"))


def _read(path: Path) -> None:
    problems = [found for found in scan_captions(path) if isinstance(found, Problem)]
    with named(path):
        found = read_captions(path)
    assert not problems, problems[0]
    consistent(found)


def consistent(found: Captions) -> None:
    """Check what `Captions` promises."""
    names, count = found.images, len(found.texts)
    assert 0 < len(set(names)) == len(names) == len(found.splits)
    assert all(is_text(text) and text == text.strip() != "" for text in found.texts)
    assert all(is_text(name) and name for name in names)
    assert all(split is None or is_text(split) for split in found.splits)
    assert found.image_of.shape == (count,)
    assert sorted(set(found.image_of.tolist())) == list(range(len(names)))
    assert found.image_ids is None or found.image_ids.shape == (len(names),)
    assert found.caption_ids is None or found.caption_ids.shape == (count,)
    assert sum(map(len, found.of_image())) == count


TARGETS = {
    "captions_csv": Target(
        _file("captions.csv"),
        lambda: [
            b'image,caption\na.jpg,a red car\na.jpg,"red, and a car"\n',
            b'split,image,caption\r\ntest,a.jpg,a car\r\nrestval,b.jpg,"a ""b"""\r\n',
        ],
        ("image", "caption", "split", ",", '"', '""', "\\x0d\\x0a"),
    ),
    "captions_token": Target(
        _file("captions.token"),
        lambda: [b"a.jpg#0\ta red car\na.jpg#1\ta car\n", b"in/b b.jpg#12\tx\n"],
        ("#0", "\\x09", "\\xe2\\x80\\xa8"),
    ),
    "captions_jsonl": Target(
        _file("captions.jsonl"),
        lambda: [
            b'{"image": "a.jpg", "captions": ["a red car", "a car"], "split": "dev"}\n',
            b'{"image": "b.jpg", "captions": ["x"], "image_id": 7, "caption_ids": [3]}\n',
        ],
        (*_JSON, '"image"', '"captions"', '"split"', '"image_id"', '"caption_ids"'),
    ),
    "captions_karpathy": Target(
        _file("dataset_x.json"),
        lambda: [
            b'{"images": [{"filename": "a.jpg", "filepath": "val", "split": "restval",'
            b' "sentences": [{"raw": "a red car", "sentid": 4}], "cocoid": 9}]}',
            b'{"images": [{"filename": "b.jpg", "sentences": [{"raw": "x"}], "sentids": [1],'
            b' "imgid": 0}]}',
        ],
        (*_JSON, '"images"', '"filename"', '"filepath"', '"sentences"', '"raw"', '"sentids"'),
    ),
    "captions_coco": Target(
        _file("captions_x.json"),
        lambda: [
            b'{"images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}],'
            b' "annotations": [{"id": 1, "image_id": 7, "caption": "a red car"},'
            b' {"id": 2, "image_id": 8, "caption": "x"}]}'
        ],
        (*_JSON, '"images"', '"annotations"', '"id"', '"image_id"', '"file_name"', '"caption"'),
    ),
    "captions_scan": Target(
        _scan_lists,
        lambda: [
            BETWEEN.join([b"a red car\na car\n", b"1\n2\n", b'{"1": "a.jpg", "2": "b.jpg"}']),
            BETWEEN.join([b"a\nb\nc\nd\n", b"7\n9\n"]),
            BETWEEN.join([b"a\nb", b"7\n7"]),
        ],
        (BETWEEN.decode().replace("\n", "\\x0a"), *_JSON),
    ),
}
