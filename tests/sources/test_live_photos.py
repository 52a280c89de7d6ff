"""Live Photos: the photo is listed, and the clip beside it is left out and counted."""

from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from hgan.index.estimate import estimate
from hgan.index.indexer import index_folder
from hgan.index.shard import Shard
from hgan.runtime import formats
from hgan.runtime.video import frame_paths
from hgan.sources.folder import FolderSource
from hgan.sources.folders import FoldersSource
from hgan.sources.open import open_source
from tests.fixtures.messy import picture, write_heic
from tests.fixtures.photos import save_photo
from tests.fixtures.xmp import xmp

pytest.importorskip("av")
from tests.fixtures.videos import save_video

REASON = "short videos beside a photo of the same name, as in Live Photos"


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """A clip of 3 s and one of 9 s."""
    folder = tmp_path_factory.mktemp("clips")
    save_video(folder / "short.mov")
    save_video(folder / "long.mov", rate=4)
    return folder


@pytest.fixture
def folder(tmp_path, clips) -> Path:
    """Two Live Photos, a video with its picture, and a short video alone."""
    root = tmp_path / "root"
    (root / "2023").mkdir(parents=True)
    short, long = ((clips / name).read_bytes() for name in ("short.mov", "long.mov"))
    write_heic(root / "2023/IMG_1.HEIC", picture(1))
    (root / "2023/IMG_1.MOV").write_bytes(short)
    save_photo(root / "2023/IMG_2.JPG", (9, 99, 9))
    (root / "2023/img_2.mp4").write_bytes(short)
    save_photo(root / "2023/film.jpg", (99, 99, 9))
    (root / "2023/film.mov").write_bytes(long)
    (root / "2023/alone.mov").write_bytes(short)
    return root


LISTED = [
    "2023/IMG_1.HEIC",
    "2023/IMG_2.JPG",
    *frame_paths("2023/alone.mov"),
    "2023/film.jpg",
    *frame_paths("2023/film.mov"),
]


def test_the_clip_is_left_out_under_its_own_reason(folder):
    listing = FolderSource(folder).find()
    assert [photo.path for photo in listing.photos] == LISTED
    assert (listing.left_out.clips, listing.left_out.total) == (2, 2)
    assert [str(reason) for reason in listing.left_out.reasons()] == [f"2 {REASON}"]


def test_the_report_and_the_estimate_agree(folder, tmp_path, bundle):
    expected = estimate(folder, bundle)
    assert f"left out             2  {REASON}" in expected.lines()
    report = index_folder(folder, tmp_path / "index", bundle)
    assert (report.added, report.videos, report.left_out.clips) == (9, 2, 2)
    assert expected.left_out == report.left_out
    assert (expected.photos, expected.videos) == (9, 2)


def test_without_its_photo_the_clip_is_a_video(folder, tmp_path, bundle):
    """As in an index that was made before, the frames are removed when the photo is there."""
    kept = (folder / "2023/IMG_1.HEIC").rename(tmp_path / "kept")
    assert index_folder(folder, tmp_path / "index", bundle).videos == 3
    kept.rename(folder / "2023/IMG_1.HEIC")
    report = index_folder(folder, tmp_path / "index", bundle)
    assert (report.added, report.removed, report.videos, report.left_out.clips) == (1, 3, 2, 2)


def test_photos_in_other_folders_and_formats_are_no_reason(tmp_path, clips):
    short = (clips / "short.mov").read_bytes()
    for name in ("a", "b", "c", "d"):
        (tmp_path / f"{name}.mov").write_bytes(short)
    picture(1).save(tmp_path / "a.png")
    save_photo(tmp_path / "other/b.jpg", (9, 99, 9))
    (tmp_path / "c.jpg").symlink_to("nowhere.jpg")
    save_photo(tmp_path / "d.jpg/a.jpg", (9, 9, 99))  # a folder
    listing = FolderSource(tmp_path).find()
    assert listing.left_out.total == 0
    videos = {photo.path for photo in listing.photos if "#" in photo.path}
    assert videos == {one for name in "abcd" for one in frame_paths(f"{name}.mov")}


def test_what_cannot_be_read_is_no_clip(folder, tmp_path, clips):
    whole = (clips / "short.mov").read_bytes()
    (folder / "2023/IMG_1.MOV").write_bytes(whole[: len(whole) // 2])  # still being copied
    (folder / "2023/img_2.mp4").unlink()
    (folder / "2023/img_2.mp4").symlink_to("nowhere.mp4")
    listing = FolderSource(folder).find()
    assert listing.left_out.total == 0
    assert "2023/IMG_1.MOV#1" in [photo.path for photo in listing.photos]
    assert listing.skipped == {"2023/img_2.mp4": "a link that leads nowhere"}


def test_the_photo_has_the_sidecars_of_its_clip(folder):
    (folder / "2023/IMG_1.MOV.xmp").write_bytes(xmp(**{"xmp:Rating": "4"}))
    source = FolderSource(folder)
    listing = source.find()
    assert listing.sidecars() == {"2023/IMG_1.MOV.xmp"}
    assert source.content(listing.photos[0]).metadata().rating == 4
    assert listing.left_out.total == 2


def test_without_the_extra_clips_are_not_those_that_it_would_read(folder, monkeypatch):
    monkeypatch.setattr(formats, "is_installed", lambda module: module != "av")
    listing = FolderSource(folder).find()
    assert [photo.path for photo in listing.photos] == [one for one in LISTED if "#" not in one]
    assert [str(reason) for reason in listing.left_out.reasons()] == [
        "2 videos; to read them: pip install 'hgan[video]'",
        f"2 {REASON}",
    ]


def test_where_the_photo_cannot_be_read_the_clip_is_a_video(folder, monkeypatch):
    monkeypatch.setattr(formats, "is_installed", lambda module: module != "pillow_heif")
    listing = FolderSource(folder).find()
    assert "2023/IMG_1.MOV#2" in [photo.path for photo in listing.photos]
    assert listing.left_out.clips == 1


def test_parts_count_each_clip_once(folder, tmp_path, bundle):
    parts = [
        index_folder(folder, tmp_path / f"{n}.index", bundle, shard=Shard(n, 3)) for n in (1, 2, 3)
    ]
    assert sum(part.added for part in parts) == len(LISTED)
    assert [part.left_out.clips for part in parts] == [2, 0, 0]


def test_in_several_folders(folder, tmp_path):
    save_photo(tmp_path / "first/a.jpg", (9, 9, 9))
    listing = FoldersSource(tmp_path / "first", {"root": folder}).find()
    assert [photo.path for photo in listing.photos] == ["a.jpg", *(f"root/{one}" for one in LISTED)]
    assert listing.left_out.clips == 2


def test_in_an_object_store_they_are_videos(folder):
    files = MemoryFileSystem()
    for name in ("IMG_1.HEIC", "IMG_1.MOV"):
        files.pipe(f"/live/{name}", (folder / "2023" / name).read_bytes())
    listing = open_source("memory://live").find()
    assert [photo.path for photo in listing.photos] == ["IMG_1.HEIC"]
    assert [str(reason) for reason in listing.left_out.reasons()] == [
        "1 video, which are read in folders only"
    ]


def test_rules_come_first(folder):
    """A clip whose photo is ignored stands for itself."""
    listing = FolderSource(folder).excluding(["*.HEIC", "img_2.mp4"]).find()
    assert "2023/IMG_1.MOV#1" in [photo.path for photo in listing.photos]
    assert listing.left_out.clips == 0
    assert listing.left_out.ignored.total() == 2
    [one] = FolderSource(folder).excluding(["IMG_1.*"]).find().left_out.reasons()[1:]
    assert str(one) == "1 short video beside a photo of the same name, as in Live Photos"
