"""Videos in a folder: each is listed as its frames, and read without reading the whole file."""

import hashlib
import resource
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from hgan.errors import DataError, HganError
from hgan.index.store.bucket import bucket_of
from hgan.runtime import formats
from hgan.runtime.images import TooSmallError, open_photo, read_photo
from hgan.runtime.video import MIDDLE, clock, file_of, frame_paths
from hgan.sources.folder import FolderSource
from hgan.sources.left_out import LeftOut, note_failed
from hgan.sources.open import open_source
from hgan.sources.types import Photo
from tests.fixtures.photos import save_photo
from tests.fixtures.xmp import xmp

pytest.importorskip("av")
from tests.fixtures.videos import HEIGHT, SECONDS, WIDTH, save_sound, save_video

CLIP = ["2023/clip.mp4#1", "2023/clip.mp4#2", "2023/clip.mp4#3"]


@pytest.fixture
def folder(tmp_path) -> Path:
    save_photo(tmp_path / "root/a.png", (9, 99, 9))
    (tmp_path / "root/2023").mkdir()
    save_video(tmp_path / "root/2023/clip.mp4")
    return tmp_path / "root"


def test_a_video_is_listed_as_its_frames(folder):
    found = FolderSource(folder).find().photos
    assert [photo.path for photo in found] == ["a.png", *CLIP]
    status = (folder / "2023/clip.mp4").stat()
    assert {(p.size, p.mtime) for p in found[1:]} == {(status.st_size, status.st_mtime_ns)}


def test_what_is_read_is_the_frame(folder):
    source = FolderSource(folder)
    for number, photo in enumerate(source.find().photos[1:], 1):
        source.glance(photo)
        content = source.content(photo)
        assert content.photo == photo
        assert content.moment == pytest.approx(SECONDS * (2 * number - 1) / 6, abs=0.1)
        assert content.digest == hashlib.sha256(content.data).hexdigest()
        assert content.metadata().width == WIDTH
        shown = open_photo(folder / photo.path)
        assert shown.tobytes() == open_photo(content.data).tobytes()
    middle = open_photo(folder / CLIP[MIDDLE - 1])
    assert read_photo(str(folder / "2023/clip.mp4")).tobytes() == middle.tobytes()


def test_a_sidecar_belongs_to_all_frames(folder):
    (folder / "2023/clip.mp4.xmp").write_bytes(xmp(**{"xmp:Rating": "4"}))
    source = FolderSource(folder)
    assert [source.content(one).metadata().rating for one in source.find().photos[1:]] == [4] * 3


def test_a_large_file_is_not_read_as_a_whole(folder):
    """A video of 6 GB: its `mdat` box is followed by one that is empty, as far as the disk goes."""
    with (folder / "2023/clip.mp4").open("r+b") as file:
        file.seek(0, 2)
        file.write((1).to_bytes(4, "big") + b"free" + (6 * 2**30).to_bytes(8, "big"))
        file.truncate(file.tell() - 16 + 6 * 2**30)
    source = FolderSource(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    photo = source.find().photos[1]
    assert photo.size > 6 * 2**30
    source.glance(photo)
    assert open_photo(source.read(photo).data).size == (WIDTH, HEIGHT)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # kB


def test_what_cannot_be_read(folder, tmp_path):
    (folder / "broken.mov").write_bytes(b"no video")
    save_sound(folder / "sound.mp4")
    (folder / "nowhere.mp4").symlink_to("nothing.mp4")
    source = FolderSource(folder)
    listing = source.find()
    assert listing.skipped == {"nowhere.mp4": "a link that leads nowhere"}
    failed: dict[str, str] = {}
    for photo in listing.photos:
        for action in (source.glance, source.read):
            try:
                action(photo)
            except DataError as error:
                note_failed(photo.path, error, failed, LeftOut())
    assert failed.keys() == {"broken.mov", "sound.mp4"}  # each once
    assert "has no pictures" in failed["sound.mp4"]


def test_a_small_video_is_left_out_once(folder, monkeypatch):
    monkeypatch.setattr("tests.fixtures.videos.HEIGHT", 32)
    save_video(folder / "small.mp4")
    source = FolderSource(folder)
    left_out, skipped = LeftOut(), {}
    for photo in source.find().photos:
        try:
            source.glance(photo)
        except TooSmallError as error:
            note_failed(photo.path, error, skipped, left_out)
    assert (left_out.small, skipped) == ({"small.mp4"}, {})


def test_without_the_extra_they_are_counted(folder, monkeypatch):
    monkeypatch.setattr(formats, "is_installed", lambda module: module != "av")
    listing = FolderSource(folder).find()
    assert [photo.path for photo in listing.photos] == ["a.png"]
    advice = "1 video; to read them: pip install 'hgan[video]'"
    assert [str(reason) for reason in listing.left_out.reasons()] == [advice]
    (folder / "a.png").unlink()
    with pytest.raises(HganError, match=r"no photos .* 1 video; to read them: pip install"):
        FolderSource(folder).find()


def test_in_an_object_store_they_are_counted(folder):
    files = MemoryFileSystem()
    files.pipe("/videos/a.png", (folder / "a.png").read_bytes())
    files.pipe("/videos/clip.mp4", (folder / "2023/clip.mp4").read_bytes())
    listing = open_source("memory://videos").find()
    assert [photo.path for photo in listing.photos] == ["a.png"]
    reasons = [str(reason) for reason in listing.left_out.reasons()]
    assert reasons == ["1 video, which are read in folders only"]


def test_names_that_look_like_frames(folder):
    """A file or folder that is really named so is no frame, and hides none."""
    (folder / "2023/clip.mp4#1").write_bytes((folder / "a.png").read_bytes())
    save_photo(folder / "dir.mp4#2/b.png", (9, 9, 99))
    save_photo(folder / "dir.mp4/c.png", (99, 9, 9))
    listing = FolderSource(folder).find()
    found = [photo.path for photo in listing.photos]
    assert found == ["a.png", *CLIP, "dir.mp4/c.png", "dir.mp4#2/b.png"]
    assert listing.left_out.others.total() == 1
    first = FolderSource(folder).read(next(p for p in listing.photos if p.path == CLIP[0]))
    assert open_photo(first.data).size == (WIDTH, HEIGHT)
    assert file_of("dir.mp4#2/b.png") == "dir.mp4#2/b.png"


def test_a_part_has_all_frames_or_none(folder):
    assert {bucket_of(path) for path in CLIP} == {bucket_of("2023/clip.mp4")}
    source = FolderSource(folder).part(lambda path: path == "2023/clip.mp4")
    listing = source.find()
    assert [photo.path for photo in listing.photos] == CLIP
    assert listing.elsewhere == 1
    other = FolderSource(folder).part(lambda path: path == "a.png").find()
    assert [photo.path for photo in other.photos] == ["a.png"]
    assert other.elsewhere == len(CLIP)


def test_a_frame_of_a_video_that_is_gone(folder):
    (folder / "2023/clip.mp4").unlink()
    with pytest.raises(DataError, match=r"clip\.mp4: no such file"):
        FolderSource(folder).read(Photo(CLIP[0], 0, 0))


@pytest.mark.parametrize(
    ("moment", "shown"), [(0.0, "0:00"), (42.9, "0:42"), (61, "1:01"), (3723.5, "1:02:03")]
)
def test_the_time_as_players_show_it(moment, shown):
    assert clock(moment) == shown
    assert [file_of(path) for path in frame_paths("a.mp4")] == ["a.mp4"] * 3
