"""Folders to indexes: added, kept, removed and skipped photos, and interrupted runs."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import pytest
from PIL import Image

import hgan
from hgan.errors import BundleError, DataError, HganError, IndexingError
from hgan.index.indexer import IndexReport, index_folder
from hgan.runtime.bundle import Bundle
from hgan.search.searcher import open_index
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import write_tiny_bundle


def indexed(to: Path, bundle: Bundle) -> set[str]:
    """Paths in an index, relative to its root."""
    with open_index(to, bundle) as index:
        hits = index.search("red", k=1000)
        return {hit.path.relative_to(index.root).as_posix() for hit in hits}


def test_counts_of_every_kind(photos, tmp_path, bundle):
    to = tmp_path / "index"
    assert index_folder(photos, to, bundle) == IndexReport(added=12)
    assert index_folder(photos, to, bundle) == IndexReport(unchanged=12)
    save_photo(photos / "new.jpg", (200, 200, 0))
    save_photo(photos / "red/red 1.png", COLOURS["blue"], seed=77)
    (photos / "blue/blue 2.png").unlink()
    report = index_folder(photos, to, bundle)
    assert report == IndexReport(added=1, updated=1, removed=1, unchanged=10)
    with open_index(to, bundle) as index:
        assert len(index) == 12
        best = [hit.path.name for hit in index.search("a blue photo", k=4)]
        assert "red 1.png" in best
        assert "blue 2.png" not in best


def test_touched_photo_is_not_encoded_again(photos, tmp_path, bundle, monkeypatch):
    to = tmp_path / "index"
    index_folder(photos, to, bundle)
    os.utime(photos / "red 0.png", ns=(1, 1))
    with monkeypatch.context() as patch:
        patch.setattr(Bundle, "encode_images", None)
        assert index_folder(photos, to, bundle) == IndexReport(unchanged=12)
    # Its new time was stored: the next run does not even read it.
    with monkeypatch.context() as patch:
        patch.setattr("hgan.sources.folder.read_file", None)
        assert index_folder(photos, to, bundle) == IndexReport(unchanged=12)


def test_moved_and_copied_photos_are_not_encoded_again(photos, tmp_path, bundle, monkeypatch):
    to = tmp_path / "index"
    save_photo(photos / "odd.png", (250, 250, 0))
    index_folder(photos, to, bundle)
    shutil.move(photos / "red", photos / "moved")
    shutil.copy(photos / "odd.png", photos / "copy.png")
    with monkeypatch.context() as patch:
        patch.setattr(Bundle, "encode_images", None)
        report = index_folder(photos, to, bundle)
    assert report == IndexReport(added=4, removed=3, unchanged=10)
    with open_index(to, bundle) as index:
        moved = {hit.path.name: hit.score for hit in index.search_image(photos / "moved/red 1.png")}
        assert moved["red 1.png"] == pytest.approx(1, abs=2e-3)
        assert {hit.path.parent.name for hit in index.search("red", 4)} == {"moved", "photos"}
        twins = {hit.path.name for hit in index.search_image(photos / "copy.png", k=2)}
        assert twins == {"copy.png", "odd.png"}


def test_copy_of_bytes_that_are_replaced_in_the_same_run(photos, tmp_path, bundle):
    """The index has the copy's digest from a photo that this run overwrites first."""
    to = tmp_path / "index"
    index_folder(photos, to, bundle)
    shutil.copy(photos / "blue 0.png", photos / "z copy.png")
    save_photo(photos / "blue 0.png", COLOURS["red"], seed=99)  # before "z" in the order
    for i in range(20):  # enough for a batch between the two
        save_photo(photos / f"m{i}.png", COLOURS["green"], seed=500 + i)
    report = index_folder(photos, to, bundle)
    assert report == IndexReport(added=21, updated=1, unchanged=11)
    with open_index(to, bundle) as index:
        blue = [hit.path.name for hit in index.search("blue", k=5)]
        assert "z copy.png" in blue
        assert "blue 0.png" not in blue


def test_folder_without_photos(tmp_path, bundle):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(HganError, match="no photos here"):
        index_folder(empty, tmp_path / "index", bundle)
    (empty / "notes.txt").write_text("no photo")
    (empty / ".hidden").mkdir()
    save_photo(empty / ".hidden/photo.png", COLOURS["red"])
    with pytest.raises(HganError, match="no photos here"):
        index_folder(empty, tmp_path / "index", bundle)
    assert not (tmp_path / "index").exists()


def test_photos_that_are_all_gone_do_not_empty_the_index(photos, tmp_path, bundle):
    """As when a disk is not mounted."""
    to = tmp_path / "index"
    index_folder(photos, to, bundle)
    shutil.rmtree(photos)
    with pytest.raises(DataError, match="no such folder"):
        index_folder(photos, to, bundle)
    photos.mkdir()
    with pytest.raises(HganError, match="no photos here"):
        index_folder(photos, to, bundle)
    assert len(indexed(to, bundle)) == 12


def test_bad_photos_are_skipped_and_listed(photos, tmp_path, bundle):
    whole = save_photo(photos / "whole.jpg", COLOURS["red"]).read_bytes()
    (photos / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "zero.jpg").write_bytes(b"")
    (photos / "text.png").write_bytes(b"this is no photo")
    (photos / "bomb.png").write_bytes(bomb(20_000))
    (photos / "broken link.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(photos / "pipe.jpg")
    (photos / "folder.jpg").mkdir()
    save_photo(photos / "folder.jpg/inside.png", COLOURS["green"])
    report = index_folder(photos, tmp_path / "index", bundle)
    assert report.added == 14
    assert set(report.skipped) == {
        "truncated.jpg",
        "zero.jpg",
        "text.png",
        "bomb.png",
        "broken link.jpg",
        "pipe.jpg",
    }
    assert all(report.skipped.values())
    assert "folder.jpg/inside.png" in indexed(tmp_path / "index", bundle)
    # They are tried again each time, and listed each time.
    again = index_folder(photos, tmp_path / "index", bundle)
    assert again == IndexReport(unchanged=14, skipped=report.skipped)


def test_photo_that_went_bad_leaves_the_index(photos, tmp_path, bundle):
    to = tmp_path / "index"
    index_folder(photos, to, bundle)
    (photos / "red 0.png").write_bytes(b"")
    report = index_folder(photos, to, bundle)
    assert (report.removed, report.unchanged, set(report.skipped)) == (1, 11, {"red 0.png"})
    assert "red 0.png" not in indexed(to, bundle)


def test_nothing_but_bad_photos(tmp_path, bundle):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/bad.jpg").write_bytes(b"bad")
    report = index_folder(tmp_path / "photos", tmp_path / "index", bundle)
    assert report.added == 0 and set(report.skipped) == {"bad.jpg"}
    assert indexed(tmp_path / "index", bundle) == set()


def test_loops_and_links(photos, tmp_path, bundle):
    (photos / "red/loop").symlink_to(photos)
    (photos / "up").symlink_to("..")
    (photos / "self").symlink_to("self")
    (photos / "self.png").symlink_to("self.png")
    (photos / "linked.png").symlink_to(photos / "red 0.png")
    report = index_folder(photos, tmp_path / "index", bundle)
    assert report.added == 13
    assert set(report.skipped) == {"red/loop", "up", "self.png"}
    assert "linked.png" in indexed(tmp_path / "index", bundle)


def test_names_of_any_script_and_of_none(photos, tmp_path, bundle):
    save_photo(photos / "雪 🐕/собака.png", COLOURS["red"])
    folder = os.fsencode(photos)
    for name in (b"caf\xe9.png", b"\xff folder/photo.png"):
        save_photo(Path(os.fsdecode(folder + b"/" + name)), COLOURS["red"])
    report = index_folder(photos, tmp_path / "index", bundle)
    assert report.added == 13
    assert set(report.skipped) == {"caf\\xe9.png", "\\xff folder/photo.png"}
    assert all("UTF-8" in reason for reason in report.skipped.values())
    assert "雪 🐕/собака.png" in indexed(tmp_path / "index", bundle)
    with pytest.raises(DataError, match="UTF-8"):
        index_folder(os.fsdecode(folder + b"/\xff folder"), tmp_path / "other", bundle)


def test_folder_that_cannot_be_read_keeps_its_photos(photos, tmp_path, bundle, monkeypatch):
    to = tmp_path / "index"
    index_folder(photos, to, bundle)
    scandir = os.scandir

    def refuse(place: Path) -> object:  # as for a user who is not root
        if Path(place) == photos / "red":
            raise PermissionError(13, "Permission denied")
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refuse)
    report = index_folder(photos, to, bundle)
    assert (report.unchanged, report.removed) == (9, 0)
    assert "Permission denied" in report.skipped["red/"]
    assert len(indexed(to, bundle)) == 12


def test_index_of_another_bundle(photos, tmp_path, bundle):
    to = tmp_path / "index"
    index_folder(photos, to, bundle)
    other = Bundle.load(write_tiny_bundle(tmp_path / "other", seed=1))
    with pytest.raises(IndexingError, match="made with bundle"):
        index_folder(photos, to, other)
    with pytest.raises(IndexingError, match="made with bundle"):
        open_index(to, other)
    assert index_folder(photos, to, bundle).unchanged == 12


def test_index_of_another_folder(photos, tmp_path, bundle):
    index_folder(photos, tmp_path / "index", bundle)
    with pytest.raises(IndexingError, match="contains the photos of"):
        index_folder(photos / "red", tmp_path / "index", bundle)


def test_index_over_other_files(photos, tmp_path, bundle):
    with pytest.raises(IndexingError, match="contains other files"):
        index_folder(photos, photos, bundle)
    assert len(list(photos.rglob("*.png"))) == 12
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(IndexingError, match="cannot be written"):
        index_folder(photos, tmp_path / "file", bundle)


def test_bundle_by_its_folder(photos, tmp_path, bundle):
    with pytest.raises(BundleError):
        index_folder(photos, tmp_path / "index", tmp_path / "nowhere")
    assert hgan.index_folder(str(photos), str(tmp_path / "index"), bundle.folder).added == 12
    with hgan.open_index(str(tmp_path / "index")) as index:
        assert index.bundle.id == bundle.id


def test_the_tower_that_searches_need_is_checked_before_photos_are_encoded(photos, tmp_path):
    folder = write_tiny_bundle(tmp_path / "bundle")
    (folder / "text.onnx").write_bytes(b"cut short")
    with pytest.raises(BundleError, match=r"text\.onnx: damaged"):
        index_folder(photos, tmp_path / "index", folder)
    assert not (tmp_path / "index").exists()


CUT = """
    import os, resource, signal, sys
    from pathlib import Path
    import hgan
    from hgan.index.store.edge import EdgeStore
    how, photos, to, bundle = sys.argv[1:]
    upsert, done = EdgeStore.upsert, 0

    def counted(store, points):
        global done
        upsert(store, points)
        done += len(points)
        print(done, flush=True)
        if done >= 24 and how == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        elif done >= 24:
            os.kill(os.getpid(), getattr(signal, how))

    # A test run in the background has Ctrl-C ignored, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    EdgeStore.upsert = counted
    try:
        hgan.index_folder(Path(photos), Path(to), Path(bundle))
    except hgan.HganError as error:
        sys.exit(str(error))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT", "SIGTERM", "full"])
def test_a_run_that_is_cut_is_continued(tmp_path, bundle, how):
    photos, to = tmp_path / "photos", tmp_path / "index"
    for i in range(600 if how == "full" else 60):
        save_photo(photos / f"{i % 5}/{i}.png", COLOURS["red"], seed=i)
    total = len(list(photos.rglob("*.png")))
    command = [sys.executable, "-c", textwrap.dedent(CUT), how, photos, to, bundle.folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    acknowledged = int(done.stdout.split()[-1])
    assert 24 <= acknowledged < total
    if how == "full":
        assert done.returncode == 1
        assert "free some space and index again" in done.stderr
    elif how == "SIGINT":
        assert "KeyboardInterrupt" in done.stderr
    else:
        assert done.returncode == -getattr(signal, how)
    report = index_folder(photos, to, bundle)
    assert report.unchanged >= acknowledged
    assert report.added + report.unchanged == total
    assert len(indexed(to, bundle)) == total


def test_cut_before_the_index_was_made(photos, tmp_path, bundle):
    to = tmp_path / "index"
    index_folder(photos, to, bundle)
    (to / "index.json").unlink()
    with pytest.raises(IndexingError, match="no index here"):
        open_index(to, bundle)
    assert index_folder(photos, to, bundle).added == 12


@pytest.mark.slow
def test_second_process_on_the_same_index(photos, tmp_path, bundle):
    to = tmp_path / "index"
    index_folder(photos, to, bundle)
    code = """
        import sys, hgan, hgan.index.store.folder
        from pathlib import Path
        hgan.index.store.folder.LOCK_WAIT = 0.2
        what, photos, to, bundle = sys.argv[1:]
        try:
            if what == "index":
                hgan.index_folder(photos, to, Path(bundle))
            else:
                hgan.open_index(to)
        except hgan.HganError as error:
            sys.exit(f"{type(error).__name__}: {error}")
    """
    with open_index(to, bundle):
        for what in ("index", "search"):
            command = [sys.executable, "-c", textwrap.dedent(code), what, photos, to, bundle.folder]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 1
            assert "InUseError" in done.stderr
            assert "another process is using this index" in done.stderr
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0


def test_photo_formats_come_through(photos, tmp_path, bundle):
    red = Image.new("RGB", (80, 64), COLOURS["red"])
    for suffix in ("jpg", "JPEG", "png", "webp", "gif", "bmp", "tif", "TIFF"):
        red.save(photos / f"format.{suffix}")
    red.convert("CMYK").save(photos / "cmyk.jpg")
    report = index_folder(photos, tmp_path / "index", bundle)
    assert (report.added, report.skipped) == (21, {})


def bomb(side: int) -> bytes:
    """A small PNG file of side x side black pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
