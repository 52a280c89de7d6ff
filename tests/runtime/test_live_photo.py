"""Clips of Live Photos: how long a video is, by the boxes of its file."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.runtime.live_photo import LONGEST_CLIP, is_clip

APPLE = "com.apple.quicktime.content.identifier"


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def large(kind: bytes, content: bytes = b"") -> bytes:
    """A box whose size is written with 64 bits."""
    return (1).to_bytes(4, "big") + kind + (16 + len(content)).to_bytes(8, "big") + content


def header(ticks: int, rate: int = 600, version: int = 0) -> bytes:
    width = 8 if version else 4
    times = bytes(2 * width)
    length = rate.to_bytes(4, "big") + ticks.to_bytes(width, "big")
    return box(b"mvhd", bytes([version, 0, 0, 0]) + times + length + bytes(80))


def says(data: bytes) -> bool:
    return is_clip(io.BytesIO(data))


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(
    ("ticks", "short"),
    [(1, True), (600 * 6, True), (600 * 6 + 1, False), (600 * 3600, False), (0, False),
     (2**32 - 1, False)],
)  # fmt: skip
def test_the_length_that_the_header_says(ticks, short, version):
    assert LONGEST_CLIP == 6
    movie = box(b"moov", header(ticks, version=version) + box(b"trak", bytes(50)))
    assert says(box(b"ftyp", b"qt  ") + box(b"wide") + box(b"mdat", bytes(99)) + movie) is short
    assert says(movie) is short
    assert says(large(b"mdat", bytes(9)) + large(b"moov", movie[8:])) is short
    assert says(box(b"ftyp") + b"\0\0\0\0" + movie[4:]) is short  # up to the end of the file


def test_the_identifier_of_apple():
    long = header(10**6)
    keys = box(b"meta", box(b"keys", box(b"mdta", APPLE.encode())))
    assert says(box(b"moov", long + box(b"trak", bytes(9)) + keys))
    assert not says(box(b"moov", long + keys.replace(b"content", b"another")))
    assert not says(box(b"moov", long) + keys)  # not of the movie


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        box(b"moov"),
        box(b"moov", box(b"mvhd")),
        box(b"moov", header(60, rate=0)),
        box(b"moov", header(60))[:60],
        box(b"mdat", box(b"moov", header(60))),
        b"\0\0\0\x04free" + box(b"moov", header(60)),
        100 * box(b"free") + box(b"moov", header(60)),
        (2**32 - 1).to_bytes(4, "big") + b"moov" + header(60),
        (1).to_bytes(4, "big") + b"mdat" + (2**64 - 1).to_bytes(8, "big") + box(b"moov"),
    ],
)
def test_what_says_nothing(data):
    assert not says(data)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_any_bytes_have_an_answer(noise, place):
    movie = box(b"ftyp", b"qt  ") + box(b"moov", header(60) + box(b"trak", bytes(200)))
    says(noise)
    says(movie[:place] + noise + movie[place + len(noise) :])


def test_a_large_file_is_not_read(tmp_path):
    """The pictures of 6 GB, as far as the disk goes, and the header behind them."""
    with (tmp_path / "clip.mov").open("w+b") as file:
        file.write((1).to_bytes(4, "big") + b"mdat" + (6 * 2**30).to_bytes(8, "big"))
        file.seek(6 * 2**30)
        file.write(box(b"moov", header(600)))
        assert is_clip(file)


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv", ".avi"])
def test_what_ffmpeg_writes(tmp_path, suffix):
    pytest.importorskip("av")
    from tests.fixtures.videos import save_video

    def clip(path: Path) -> bool:
        with path.open("rb") as file:
            return is_clip(file)

    boxes = suffix in (".mov", ".mp4")
    assert clip(save_video(tmp_path / f"short{suffix}")) is boxes
    long = save_video(tmp_path / f"long{suffix}", {APPLE: "1"}, rate=4)
    assert not clip(long)  # 9 s; the identifier is written only on demand
    if boxes:
        kept = {"movflags": "use_metadata_tags"}
        assert clip(save_video(tmp_path / f"apple{suffix}", {APPLE: "1"}, rate=4, **kept))
        assert clip(save_video(tmp_path / f"first{suffix}", movflags="faststart"))
        # In fragments, the header says no length.
        assert not clip(save_video(tmp_path / f"parts{suffix}", movflags="empty_moov"))
