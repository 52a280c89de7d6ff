"""Reading photos of a folder: each is opened once, and what is not a readable photo."""

import os
import time
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from hgan.errors import DataError
from hgan.files import sha256
from hgan.index.estimate import estimate
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.store.open import open_store, read_manifest
from hgan.runtime import photo_file
from hgan.runtime.images import media_type, open_photo, read_photo
from hgan.runtime.metadata.read import read_metadata
from hgan.runtime.metadata.types import Metadata
from hgan.runtime.photo_file import LARGEST_PHOTO, read_file
from hgan.runtime.preprocessing import Preprocessing
from hgan.sources import folder as module
from hgan.sources.folder import FolderSource
from hgan.sources.open import content_of
from hgan.sources.types import Photo
from tests.fixtures.photos import COLOURS, save_photo

SOON = 5.0
"""Seconds; reading 20 GB takes longer."""


def test_everything_comes_from_the_same_bytes(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Pixel 9"
    path = tmp_path / "a.jpg"
    Image.new("RGB", (80, 64), COLOURS["red"]).save(path, exif=exif)
    status, digest = path.stat(), sha256(path)
    content = FolderSource(tmp_path).read(Photo("a.jpg", 0, 0))
    path.unlink()
    assert content.photo == Photo("a.jpg", status.st_size, status.st_mtime_ns)
    assert content.digest == digest
    assert content.metadata().camera == "Pixel 9"
    pixels = content.decode(Preprocessing(8)).pixels
    assert pixels.shape == (8, 8, 3)
    assert pixels.mean(axis=(0, 1)) == pytest.approx(COLOURS["red"], abs=5)


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    began = time.monotonic()
    with pytest.raises(DataError, match=r"pipe\.jpg: not a regular file"):
        read_file(tmp_path / "pipe.jpg")
    for read in (open_photo, media_type, read_photo):
        with pytest.raises(DataError, match=r"pipe\.jpg: not a regular file"):
            read(content_of(tmp_path / "pipe.jpg"))
    assert read_metadata(tmp_path / "pipe.jpg") == Metadata()
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null", "/"])
def test_devices_and_folders(place: str) -> None:
    with pytest.raises(DataError, match="not a regular file"):
        read_file(Path(place))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.jpg: no such file"):
        read_file(tmp_path / "gone.jpg")


def test_a_file_of_20_gb_is_refused_at_once(photos: Path, tmp_path: Path, bundle) -> None:
    with (photos / "huge.png").open("wb") as file:
        file.truncate(20 * 10**9)  # sparse: no bytes on disk
    began = time.monotonic()
    with pytest.raises(DataError, match=r"huge\.png: larger than the limit of 128 MB"):
        read_file(photos / "huge.png")
    report = index_folder(photos, tmp_path / "index", bundle)
    assert estimate(photos, bundle).tried == 12
    assert time.monotonic() - began < SOON
    assert report.added == 12
    assert "larger than the limit of 128 MB" in report.skipped["huge.png"]


def test_a_file_that_grows_while_it_is_read(tmp_path: Path, monkeypatch) -> None:
    """As a log does, or a file whose size the system does not say."""
    path = save_photo(tmp_path / "a.png", COLOURS["red"])
    monkeypatch.setattr(photo_file, "LARGEST_PHOTO", path.stat().st_size - 1)
    real = os.fstat

    def before_it_grew(descriptor: int) -> os.stat_result:
        status = list(real(descriptor))
        status[6] = 1  # st_size
        return os.stat_result(status)

    monkeypatch.setattr(os, "fstat", before_it_grew)
    with pytest.raises(DataError, match="larger than"):
        read_file(path)
    assert LARGEST_PHOTO == 128 * 2**20


@pytest.mark.parametrize("replacement", ["photo", "fifo", "link"])
def test_a_file_that_changes_after_it_was_listed(
    photos: Path, tmp_path: Path, bundle, monkeypatch, replacement: str
) -> None:
    """It is stored under what was read, so the next run finds it unchanged."""
    find = FolderSource.find
    target = photos / "red 0.png"

    def then_replace(self: FolderSource) -> object:
        listing = find(self)
        target.unlink()
        if replacement == "photo":
            save_photo(target, COLOURS["blue"], seed=7)
        elif replacement == "fifo":
            os.mkfifo(target)
        else:
            target.symlink_to(photos / "green 0.png")
        return listing

    with monkeypatch.context() as patch:
        patch.setattr(FolderSource, "find", then_replace)
        began = time.monotonic()
        report = index_folder(photos, tmp_path / "index", bundle)
        assert time.monotonic() - began < SOON
    if replacement == "fifo":
        assert report.added == 11
        assert "not a regular file" in report.skipped["red 0.png"]
        return
    assert report == IndexReport(added=12)
    status = target.stat()
    with open_store(tmp_path / "index", read_manifest(tmp_path / "index")) as store:
        [entry] = [entry for entry in store.entries() if entry.path == "red 0.png"]
    assert (entry.size, entry.mtime) == (status.st_size, status.st_mtime_ns)
    assert entry.digest == sha256(target)
    assert index_folder(photos, tmp_path / "index", bundle) == IndexReport(unchanged=12)


def test_each_photo_is_read_once(photos: Path, tmp_path: Path, bundle, monkeypatch) -> None:
    """Indexing needs nothing of a file after its one reading."""

    def read_and_remove(path: Path) -> tuple[bytes, os.stat_result]:
        found = read_file(path)
        path.unlink()
        return found

    index_folder(photos, tmp_path / "index", bundle)
    copy = (photos / "red 0.png").read_bytes()
    save_photo(photos / "red 0.png", COLOURS["blue"], seed=7)
    save_photo(photos / "new.png", COLOURS["blue"], seed=8)
    (photos / "copy.png").write_bytes(copy)  # of bytes that are replaced in the same run
    monkeypatch.setattr(module, "read_file", read_and_remove)
    report = index_folder(photos, tmp_path / "index", bundle)
    assert report == IndexReport(added=2, updated=1, unchanged=11)


def test_listing(photos: Path) -> None:
    listing = FolderSource(photos).find()
    assert [photo.path for photo in listing.photos[:4]] == [
        "blue 0.png",
        "green 0.png",
        "red 0.png",
        "blue/blue 1.png",
    ]
    assert (listing.skipped, listing.unread) == ({}, ())
    FolderSource(photos).check()
