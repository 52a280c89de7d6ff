"""Frames of videos: which ones, upright, with the video's time and place; and what is no video."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from hgan.errors import DataError
from hgan.runtime import formats
from hgan.runtime.formats import VIDEO, is_video, kind_of
from hgan.runtime.images import open_photo
from hgan.runtime.metadata.read import read_metadata
from hgan.runtime.video import FRAMES, Frame, frame_paths, read_frame, video_of

pytest.importorskip("av")
from tests.fixtures.videos import (
    COLOURS,
    HEIGHT,
    SECONDS,
    WIDTH,
    save_large,
    save_sound,
    save_video,
    turn,
)


def frame(path: Path, number: int) -> Frame:
    with path.open("rb") as file:
        return read_frame(file, number, path.name)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return save_video(tmp_path_factory.mktemp("videos") / "clip.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".wmv", ".ts"])
def test_each_frame_is_of_another_third(tmp_path, suffix):
    codec = {".webm": "libvpx", ".wmv": "wmv2", ".mpg": "mpeg2video", ".ts": "mpeg2video"}
    clip = save_video(tmp_path / f"clip{suffix}", codec=codec.get(suffix, "mpeg4"))
    for number, colour in enumerate(COLOURS, 1):
        found = frame(clip, number)
        pixels = np.asarray(Image.open(io.BytesIO(found.data)))
        assert pixels.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(pixels.mean((0, 1)) - colour).max() < 12
        assert found.moment == pytest.approx(SECONDS * (2 * number - 1) / 6, abs=0.2)


def test_one_key_frame_alone(tmp_path):
    clip = save_video(tmp_path / "clip.mp4", key_frames=1000)
    assert frame(clip, 3).moment == pytest.approx(2.5, abs=0.2)


def test_the_same_bytes_each_time(clip):
    assert frame(clip, 2) == frame(clip, 2)


def test_turned(tmp_path, clip):
    other = tmp_path / "turned.mp4"
    other.write_bytes(clip.read_bytes())
    turn(other)
    photo = open_photo(frame(other, 1).data, name="turned.mp4#1")
    assert photo.size == (HEIGHT, WIDTH)


def test_time_and_camera_and_place(tmp_path):
    metadata = {"creation_time": "2023-06-01T10:20:30Z", "location": "+38.7223-009.1393/"}
    data = frame(save_video(tmp_path / "clip.mp4", metadata), 1).data
    exif = Image.open(io.BytesIO(data)).getexif()
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    assert [float(part) for part in gps[ExifTags.GPS.GPSLatitude]] == pytest.approx([38.7223, 0, 0])
    assert (gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLongitudeRef]) == ("N", "W")
    assert read_metadata(data).taken == 1685614830
    own = {
        "com.apple.quicktime.creationdate": "2023-06-01T12:20:30+0200",
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.model": "iPhone 14",
    }
    file = save_video(tmp_path / "b.mov", metadata | own, movflags="use_metadata_tags")
    found = read_metadata(frame(file, 1).data)
    assert (found.taken, found.camera) == (1685622030, "Apple iPhone 14")


@pytest.mark.parametrize("place", ["", "here", "+95-200/", "+1e999-1/", "+12.5", "\0+1-1"])
@pytest.mark.parametrize("time", ["yesterday", "2023-99-01T00:00:00Z", "0001-01-01", ""])
def test_nonsense_in_the_fields(tmp_path, place, time):
    clip = save_video(tmp_path / "clip.mkv", {"location": place, "creation_time": time})
    assert read_metadata(frame(clip, 1).data).taken in (None, -62135596800)


def test_what_is_no_video(tmp_path, clip):
    sound = save_sound(tmp_path / "sound.mp4")
    with pytest.raises(DataError, match=r"sound\.mp4: has no pictures"):
        frame(sound, 1)
    playlist = tmp_path / "list.mp4"
    playlist.write_text(f"#EXTM3U\n#EXTINF:3,\n{clip.as_uri()}\n#EXT-X-ENDLIST\n")
    concat = tmp_path / "concat.mp4"
    concat.write_text(f"ffconcat version 1.0\nfile {clip}\n")
    picture = tmp_path / "picture.mp4"
    Image.new("RGB", (80, 80)).save(picture, "PNG")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for file in (playlist, concat, picture, empty):
        with pytest.raises(DataError, match=rf"{file.name}: not a video that can be read"):
            frame(file, 1)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_is_an_error_or_a_frame(clip, data):
    content = bytearray(clip.read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    try:
        found = read_frame(io.BytesIO(content[:cut]), data.draw(st.integers(1, FRAMES)), "a.mp4")
    except DataError as error:
        assert str(error).startswith("a.mp4: ")
    else:
        assert open_photo(found.data).width


def test_too_many_pixels(tmp_path):
    assert open_photo(frame(save_large(tmp_path / "8k.mp4", 4096, 2304), 1).data).width == 4096
    clip = save_large(tmp_path / "large.mp4", 8128, 4096)
    with pytest.raises(DataError, match=r"large\.mp4: damaged, or its frames have more than"):
        frame(clip, 1)


def test_a_header_that_says_less_than_the_data(tmp_path):
    """The size in `stsd` is believed until the data is decoded, which then needs more memory."""
    clip = save_large(tmp_path / "lying.mp4", 8128, 4096)
    data = bytearray(clip.read_bytes())
    at = data.index(b"mp4v", data.index(b"stsd")) + 28
    assert struct.unpack_from(">2H", data, at) == (8128, 4096)
    struct.pack_into(">2H", data, at, 64, 64)
    clip.write_bytes(data)
    with pytest.raises(DataError, match=r"lying\.mp4: "):
        frame(clip, 1)


def test_paths_of_frames():
    assert frame_paths("2023/a.mp4") == ["2023/a.mp4#1", "2023/a.mp4#2", "2023/a.mp4#3"]
    assert video_of("2023/a.MP4#3") == ("2023/a.MP4", 3)
    for path in ("a.mp4", "a.jpg#1", "a.mp4#0", "a.mp4#4", "#1", "a.mp4#1.jpg", "a.mp4#1#"):
        assert video_of(path) is None
    assert is_video("a.MOV") and not is_video("a.mov#1") and kind_of("a.mov") is None


def test_without_pyav(clip, monkeypatch):
    monkeypatch.setattr(formats, "is_installed", lambda module: module != "av")
    assert not VIDEO.readable
    with pytest.raises(DataError, match=r"needs PyAV; pip install 'hgan\[video\]'"):
        frame(clip, 1)
