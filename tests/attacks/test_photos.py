"""Hostile photo files: what is no regular file, what changes while it is read, what is huge."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hgan.client import Client
from hgan.errors import DataError
from hgan.files import sha256
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.store.open import open_store, read_manifest
from hgan.render.contact_sheet import contact_sheet
from hgan.runtime import photo_file
from hgan.runtime.images import media_type, open_photo, read_photo
from hgan.runtime.metadata.read import read_metadata
from hgan.runtime.metadata.types import Metadata
from hgan.runtime.photo_file import LARGEST_PHOTO, TOO_LARGE, open_inside
from hgan.runtime.preprocessing import Preprocessing
from hgan.sources.folder import FolderSource
from tests.fixtures.photos import COLOURS, save_photo

SOON = 10.0
"""Seconds; a FIFO without a writer would take forever, and 20 GB longer."""

Reader = Callable[[Path], object]
READERS: list[Reader] = [
    open_photo,
    read_photo,
    media_type,
    lambda path: Client("http://127.0.0.1:9").add(path, "a.jpg"),  # nobody listens there
]


@pytest.mark.parametrize("read", READERS)
def test_a_fifo_is_refused_by_every_reader(tmp_path: Path, read: Reader) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            read(pipe)
        except BaseException as error:
            errors.append(error)

    # In a thread of its own, so that a reader that waits fails the test and does not hang it.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(SOON)
    assert not thread.is_alive(), "waits for a writer"
    [error] = errors
    assert isinstance(error, DataError) and str(error) == f"{pipe}: not a regular file"
    assert read_metadata(pipe) == Metadata()


@pytest.mark.parametrize("read", READERS)
def test_a_sparse_file_of_20_gb_is_refused_at_once(tmp_path: Path, read: Reader) -> None:
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.truncate(20 * 10**9)
    began = time.monotonic()
    with pytest.raises(DataError, match=r"huge\.png: larger than the limit of 128 MB"):
        read(huge)
    assert time.monotonic() - began < SOON
    assert f"{LARGEST_PHOTO // 2**20} MB" in TOO_LARGE


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_open_files_are_closed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    photo = save_photo(tmp_path / "a.png", COLOURS["red"])
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(20):
        for path in (tmp_path / "pipe.jpg", tmp_path):
            with pytest.raises(DataError):
                open_photo(path)
        open_photo(photo), media_type(photo), read_metadata(photo)
    assert len(list(descriptors.iterdir())) == before


def test_a_photo_replaced_while_it_is_read_has_the_vectors_of_its_digest(
    photos: Path, tmp_path: Path, bundle, monkeypatch
) -> None:
    """After the file is opened, another photo takes its name, again and again."""
    target = photos / "red 0.png"
    real = os.fstat
    swaps = 0

    def swap(descriptor: int) -> os.stat_result:
        nonlocal swaps
        status = real(descriptor)
        if target.exists() and os.path.samestat(status, target.stat()):
            other = save_photo(photos / "other.tmp.png", COLOURS["blue"], seed=100 + swaps)
            other.replace(target)
            swaps += 1
        return status

    with monkeypatch.context() as patch:
        patch.setattr(photo_file.os, "fstat", swap)
        report = index_folder(photos, tmp_path / "index", bundle)
    assert report.added == 12 and swaps == 1
    index = tmp_path / "index"
    with open_store(index, read_manifest(index)) as store:
        [entry] = [entry for entry in store.entries() if entry.path == "red 0.png"]
    assert entry.digest != sha256(target)  # of the bytes that were encoded
    # The status is of the same bytes, so that the next run finds the photo changed.
    assert index_folder(photos, index, bundle) == IndexReport(updated=1, unchanged=11)
    with open_store(index, read_manifest(index)) as store:
        [entry] = [entry for entry in store.entries() if entry.path == "red 0.png"]
        [point] = store.fetch([entry.id], local=True)
    assert entry.digest == sha256(target)
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "red 0.png").write_bytes(target.read_bytes())
    index_folder(alone, tmp_path / "fresh", bundle)
    with open_store(tmp_path / "fresh", read_manifest(tmp_path / "fresh")) as store:
        [expected] = store.fetch([entry.id], local=True)
    assert point.dense == pytest.approx(expected.dense)


def test_a_photo_that_became_a_fifo_is_reported_by_a_contact_sheet(tmp_path: Path) -> None:
    from hgan.search.finder import Hit

    os.mkfifo(tmp_path / "pipe.jpg")
    hit = Hit(tmp_path / "pipe.jpg", 0.5, {}, "id", ())
    began = time.monotonic()
    contact_sheet([hit], tmp_path / "sheet.png", "title")
    assert time.monotonic() - began < SOON
    assert (tmp_path / "sheet.png").stat().st_size > 0


@pytest.mark.parametrize("inner", ["secret.png", "in", ".", "loop.png", "gone.png", "a\0b"])
def test_only_files_of_the_folder_are_opened_inside_it(tmp_path: Path, inner: str) -> None:
    root = tmp_path / "photos"
    save_photo(root / "in/a.png", COLOURS["red"])
    (root / "secret.png").symlink_to(save_photo(tmp_path / "secret.png", COLOURS["blue"]))
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "link.png").symlink_to("in/a.png")
    for good in ("in/a.png", "link.png"):
        file, status = open_inside(root, good)
        with file:
            assert len(file.read()) == status.st_size == (root / "in/a.png").stat().st_size
    with pytest.raises(DataError):
        open_inside(root, inner)


@pytest.mark.parametrize("swapped", ["in/a.png", "in"])
def test_a_link_that_appears_just_before_opening_is_not_followed(
    tmp_path: Path, swapped: str, monkeypatch
) -> None:
    root = tmp_path / "photos"
    save_photo(root / "in/a.png", COLOURS["red"])
    save_photo(tmp_path / "other/in/a.png", COLOURS["blue"])
    real = photo_file._open_without_links

    def swap(folder: Path, parts: tuple[str, ...]) -> int:
        (root / swapped).rename(tmp_path / "moved")
        (root / swapped).symlink_to(tmp_path / "other" / swapped)
        return real(folder, parts)

    monkeypatch.setattr(photo_file, "_open_without_links", swap)
    with pytest.raises(DataError, match=r"a\.png: cannot be read"):
        open_inside(root, "in/a.png")
    assert (root / "in/a.png").read_bytes() != b""  # by its name, it is the other one


def test_reading_uses_one_descriptor(tmp_path: Path, monkeypatch) -> None:
    """Digest, metadata and pixels need nothing of the file after its one opening."""
    save_photo(tmp_path / "a.png", COLOURS["red"])
    opened: list[Path] = []
    real = os.open

    def counted(path: Path, flags: int) -> int:
        opened.append(path)
        return real(path, flags)

    with monkeypatch.context() as patch:
        patch.setattr(photo_file.os, "open", counted)
        source = FolderSource(tmp_path)
        [photo] = source.find().photos
        content = source.read(photo)
    (tmp_path / "a.png").unlink()
    assert opened == [tmp_path / "a.png"]
    assert content.decode(Preprocessing(8)).pixels.shape == (8, 8, 3)
    assert content.metadata() == Metadata(width=96, height=72) and len(content.digest) == 64
