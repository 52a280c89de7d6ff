"""Stored metadata of photos, how older indexes get it, and smaller vectors."""

import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from hgan.errors import IndexingError
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.store.contract import Entry
from hgan.index.store.open import open_store, read_manifest
from hgan.index.store.payload import Widths
from hgan.runtime.bundle import Bundle
from hgan.runtime.metadata.text import seconds
from hgan.search.searcher import open_index
from tests.fixtures.photos import COLOURS


def entries(to: Path) -> dict[str, Entry]:
    with open_store(to, read_manifest(to)) as store:
        return {entry.path: entry for entry in store.entries()}


def test_what_photos_say_is_remembered(photos, tmp_path, bundle):
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Pixel 9"
    exif[ExifTags.Base.XPKeywords] = "Beach;sun".encode("utf-16-le")
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "1970:01:02 00:00:01"}
    Image.new("RGB", (80, 64), COLOURS["red"]).save(photos / "says.jpg", exif=exif)
    shutil.copy(photos / "says.jpg", photos / "copy.jpg")
    to = tmp_path / "index"
    assert index_folder(photos, to, bundle).added == 14
    found = entries(to)
    for name in ("says.jpg", "copy.jpg"):
        entry = found[name]
        assert (entry.taken, entry.camera, entry.tags) == (86401, "Pixel 9", ("beach", "sun"))
    entry = found["red 0.png"]
    assert (entry.camera, entry.tags) == ("", ())
    changed = datetime.fromtimestamp((photos / "red 0.png").stat().st_mtime_ns // 10**9)
    assert (entry.taken, entry.file_time) == (seconds(changed), True)
    assert not found["says.jpg"].file_time
    assert (found["says.jpg"].width, found["says.jpg"].height) == (80, 64)


def test_index_of_version_1(photos, tmp_path, bundle, monkeypatch):
    """It opens, and the next run reads what photos say without encoding them."""
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Pixel 9"
    Image.new("RGB", (80, 64), COLOURS["red"]).save(photos / "says.jpg", exif=exif)
    to = tmp_path / "index"
    with monkeypatch.context() as patch:
        patch.setattr(Widths, "payload", lambda _, point: payload_of_version_1(point.entry))
        patch.setattr("hgan.index.store.edge_schema.WORDS", ("folders",))
        index_folder(photos, to, bundle)
    values = json.loads((to / "index.json").read_text())
    del values["quantize"], values["points"]
    (to / "index.json").write_text(json.dumps(values | {"format_version": 1}))
    assert len(entries(to)) == 13
    assert entries(to)["says.jpg"].camera == ""
    with monkeypatch.context() as patch:
        patch.setattr(Bundle, "encode_images", None)
        assert index_folder(photos, to, bundle) == IndexReport(unchanged=13)
    assert entries(to)["says.jpg"].camera == "Pixel 9"
    with monkeypatch.context() as patch:
        patch.setattr("hgan.sources.folder.read_file", None)
        assert index_folder(photos, to, bundle) == IndexReport(unchanged=13)


def payload_of_version_1(entry: Entry) -> dict[str, object]:
    names = ("path", "size", "mtime", "digest", "folders")
    return {name: getattr(entry, name) for name in names}


def test_quantized_index(photos, tmp_path, bundle):
    to = tmp_path / "index"
    assert index_folder(photos, to, bundle, "int8").added == 12
    assert index_folder(photos, to, bundle).unchanged == 12
    with open_index(to, bundle) as index:
        assert {hit.path.name[:4] for hit in index.search("a blue photo", k=4)} == {"blue"}
    index_folder(photos, tmp_path / "plain", bundle)
    with pytest.raises(IndexingError, match="omit the option"):
        index_folder(photos, tmp_path / "plain", bundle, "int8")
