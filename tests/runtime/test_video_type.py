"""The media type of a video is that of its content."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.errors import DataError
from hgan.runtime.formats import VIDEO
from hgan.runtime.video_type import video_type

TYPES = {
    ".3gp": ("video/3gpp", "mpeg4"),
    ".avi": ("video/x-msvideo", "mpeg4"),
    ".flv": ("video/x-flv", "flv"),
    ".m2ts": ("video/mp2t", "mpeg2video"),
    ".m4v": ("video/mp4", "mpeg4"),
    ".mkv": ("video/x-matroska", "mpeg4"),
    ".mov": ("video/quicktime", "mpeg4"),
    ".mp4": ("video/mp4", "mpeg4"),
    ".mpeg": ("video/mpeg", "mpeg2video"),
    ".mpg": ("video/mpeg", "mpeg2video"),
    ".mts": ("video/mp2t", "mpeg2video"),
    ".webm": ("video/webm", "libvpx"),
    ".wmv": ("video/x-ms-wmv", "wmv2"),
}
"""The type of each format, and a codec for it."""


def test_each_kind_of_file_that_is_read_has_a_type():
    assert TYPES.keys() == VIDEO.suffixes


@pytest.mark.parametrize("suffix", TYPES)
def test_the_type_is_that_of_the_content(tmp_path, suffix):
    pytest.importorskip("av")
    from tests.fixtures.videos import save_video

    found, codec = TYPES[suffix]
    options = {"mpegts_m2ts_mode": "1"} if suffix == ".m2ts" else {}
    clip = save_video(tmp_path / f"clip{suffix}", codec=codec, **options)
    other = clip.rename(tmp_path / "other.jpg")
    with other.open("rb") as file:
        file.seek(9)
        assert video_type(file, "clip") == found
        assert file.tell() == 0


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"G" * 187, b"\0\0\0\x18ftyp"[:7]],
)
def test_what_is_no_video(data):
    with pytest.raises(DataError, match=r"clip\.mp4: not a video in a supported format"):
        video_type(io.BytesIO(data), "clip.mp4")


@given(st.binary(max_size=600))
def test_any_bytes_have_a_type_or_none(data):
    try:
        assert video_type(io.BytesIO(data), "clip").startswith("video/")
    except DataError as error:
        assert str(error) == "clip: not a video in a supported format"


def test_a_file_that_cannot_be_read(tmp_path):
    class Broken(io.BytesIO):
        def read(self, *_size):
            raise OSError(5, "Input/output error")

    with pytest.raises(DataError, match=r"clip\.mp4: cannot be read \(Input/output error\)"):
        video_type(Broken(), "clip.mp4")
