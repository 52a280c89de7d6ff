"""WebDataset's shards become a folder of photos and captions; nothing is written outside of it."""

import gzip
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hgan.data.captions.read import read_captions
from hgan.data.checks.check import check
from hgan.data.conversion import webdataset
from hgan.data.conversion.convert import convert
from hgan.data.conversion.webdataset import expand
from hgan.errors import DataError
from tests.fixtures.hub_tables import content, inside, photo

Members = list[tuple[str, bytes | tarfile.TarInfo]]


def write_shard(path: Path, members: Members) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            if isinstance(data, tarfile.TarInfo):
                archive.addfile(data)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def pair(key: str, number: int, text: str) -> Members:
    return [(f"{key}.jpg", photo(number)), (f"{key}.txt", text.encode())]


def test_shards_of_a_pattern(tmp_path: Path) -> None:
    for shard in range(9, 12):  # keys start again in each
        members = [
            *pair("000000", 2 * shard, f"one {shard}\n"),
            *pair("000001", 2 * shard + 1, "two"),
        ]
        write_shard(tmp_path / f"cc-train-{shard:04}.tar", members)
    target = tmp_path / "made"
    summary = convert(tmp_path / "cc-train-{0009..0011}.tar", target)
    assert summary == f"6 photos (train 6), 6 captions: {target}"
    assert content(target)[:2] == [
        {"image": "cc-train-0009/000000.jpg", "captions": ["one 9"], "split": "train"},
        {"image": "cc-train-0009/000001.jpg", "captions": ["two"], "split": "train"},
    ]
    for shard in range(9, 12):
        file = target / f"images/cc-train-{shard:04}/000001.jpg"
        assert file.read_bytes() == photo(2 * shard + 1)
    assert [f.kind for f in check(target).findings if f.severity == "error"] == ["no val split"]
    assert read_captions(target).split("train").texts.count("two") == 3


def test_what_a_sample_can_have(tmp_path: Path) -> None:
    values = {"captions": ["from json", "and more"], "split": "val", "image_id": 5}
    members: Members = [
        ("photos", tarfile.TarInfo("photos")),
        ("a/x.PNG", photo(0, "PNG")),
        ("a/x.json", json.dumps(values | {"caption_ids": [1, 2]}).encode()),
        ("a/x.txt", b"from text"),
        ("a/x.cls", b"3"),
        ("b.webp", photo(1, "WEBP")),
        ("b.json", json.dumps({"caption": "short", "url": "http://x"}).encode()),
        ("c.seg.png", photo(2, "PNG")),  # not the photo
        ("c.jpeg", photo(3)),
        ("c.txt", "Ein Hund ist größer.".encode()),
        ("c.json", b'{"width": 3}'),
    ]
    write_shard(tmp_path / "set/0.tar", members)
    convert(tmp_path / "set", tmp_path / "made", split="test")
    assert content(tmp_path / "made") == [
        {"image": "0/a/x.png", "captions": ["from json", "and more"], "split": "val"},
        {"image": "0/b.webp", "captions": ["short"], "split": "test"},
        {"image": "0/c.jpeg", "captions": ["Ein Hund ist größer."], "split": "test"},
    ]
    convert(tmp_path / "set/0.tar", tmp_path / "urls", column="url")
    assert [line["captions"] for line in content(tmp_path / "urls")] == [
        ["from text"],  # without that key
        ["http://x"],
        ["Ein Hund ist größer."],
    ]


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[str, tarfile.TarInfo]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return name, info


@pytest.mark.parametrize(
    "name",
    ["../../out", "/../out", "a/../../../out", "./../out", "C:/out", "con/out"],
)
def test_no_member_is_written_outside(tmp_path: Path, name: str) -> None:
    write_shard(tmp_path / "a/b/0.tar", pair(name, 0, "a dog"))
    convert(tmp_path / "a/b/0.tar", tmp_path / "a/b/made", split="train")
    files = [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".tar"]
    assert sorted(p.relative_to(tmp_path / "a/b/made").as_posix() for p in files) == [
        "captions.jsonl",
        "images/00000001.jpg",
    ]


def test_an_absolute_name_is_one_below_the_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write_shard(tmp_path / "0.tar", pair(str(outside), 0, "a dog"))
    convert(tmp_path / "0.tar", tmp_path / "made", split="train")
    assert not outside.with_suffix(".jpg").exists()
    assert len(list((tmp_path / "made/images").rglob("outside.jpg"))) == 1


def test_links_and_large_members_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webdataset, "LARGEST_PHOTO", len(photo(1)))
    monkeypatch.setattr(webdataset, "LONGEST_TEXT", 2**20)
    (tmp_path / "secret.jpg").write_bytes(photo(8))
    members: Members = [
        *pair("good", 1, "a"),
        link("a.jpg", str(tmp_path / "secret.jpg")),
        ("a.txt", b"a"),
        link("b.jpg", "good.jpg"),
        ("b.txt", b"b"),
        link("c.jpg", "good.jpg", tarfile.LNKTYPE),
        ("c.txt", b"c"),
        link("d.jpg", "", tarfile.FIFOTYPE),
        ("d.txt", b"d"),
        ("e.jpg", photo(1) + b"x"),
        ("e.txt", b"e"),
        ("f.jpg", photo(1)),
        ("f.txt", b"f" * (2**20 + 1)),
        ("g.jpg", photo(1)),
        ("g.txt", b"\xff\xfe\xfa"),
        ("h.jpg", b"not a photo"),
        ("h.txt", b"h"),
        ("i.txt", b"without a photo"),
        ("j.jpg", photo(1)),
    ]
    write_shard(tmp_path / "set/0.tar", members)
    summary = convert(tmp_path / "set", tmp_path / "made", split="train")
    assert "1 photos (train 1), 1 captions, 10 left out" in summary
    shown = capsys.readouterr().err
    for key, reason in {
        **dict.fromkeys("abcd", ".jpg is a link or another special member"),
        "e": ".jpg is larger than the limit of 128 MB",
        "f": ".txt is larger than 1 MB",
        "g": ".txt cannot be read ('utf-8' codec",
        "h": "not a photo",
        "i": "no photo",
        "j": "no captions",
    }.items():
        line = next(line for line in shown.splitlines() if f"0.tar: {key}: " in line)
        assert reason in line
    assert inside(tmp_path / "made/images/0") == ["good.jpg"]


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2 + 100]


def cut_at_a_member(data: bytes) -> bytes:
    return data[:1024]


def garbage(data: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        start = archive.getmembers()[2].offset
    return data[:start] + b"\x07" * 512 + data[start + 512 :]


@pytest.mark.parametrize("damage", [cut, cut_at_a_member, garbage, gzip.compress, lambda _: b"x"])
def test_a_damaged_shard_leaves_nothing(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """tarfile itself takes a damaged header for the end."""
    shard = write_shard(tmp_path / "0.tar", [*pair("a", 0, "a"), *pair("b", 1, "b")])
    shard.write_bytes(damage(shard.read_bytes()))
    with pytest.raises(DataError, match=r"0\.tar: not a tar archive without compression, or damag"):
        convert(shard, tmp_path / "made", split="train")
    assert inside(tmp_path) == ["0.tar"]


def test_missing_shards(tmp_path: Path) -> None:
    write_shard(tmp_path / "1.tar", pair("a", 0, "a"))
    with pytest.raises(DataError, match=r"0\.tar: no such file; 2 of 3 shards are missing"):
        convert(tmp_path / "{0..2}.tar", tmp_path / "made")


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("a.tar", ["a.tar"]),
        ("{8..11}.tar", ["8.tar", "9.tar", "10.tar", "11.tar"]),
        ("{008..010}.tar", ["008.tar", "009.tar", "010.tar"]),
        ("{0..1}/s{0..1}.tar", ["0/s0.tar", "0/s1.tar", "1/s0.tar", "1/s1.tar"]),
        ("{a,b}.tar", ["{a,b}.tar"]),
    ],
)
def test_patterns(pattern: str, paths: list[str]) -> None:
    assert [path.as_posix() for path in expand(Path(pattern))] == paths


@pytest.mark.parametrize("pattern", ["{2..1}.tar", "{0..999999999}.tar"])
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(DataError, match=r"is not a range of 1 to 100,000 numbers"):
        expand(Path(pattern))


def test_classes_are_no_captions(tmp_path: Path) -> None:
    members: Any = [("0.jpg", photo(0)), ("0.cls", b"7")]
    write_shard(tmp_path / "0.tar", members)
    with pytest.raises(DataError, match=r"no photo with captions is in the data set; .*: no"):
        convert(tmp_path / "0.tar", tmp_path / "made")
    with pytest.raises(DataError, match=r"`hgan data convert .*0\.tar FOLDER` writes them"):
        read_captions(tmp_path / "0.tar")


def header(kind: bytes, size: bytes) -> bytes:
    """A member's header with a size as in the file: octal digits, or a binary number after 0x80."""
    block = bytearray(tarfile.TarInfo("a.png").tobuf(tarfile.GNU_FORMAT))
    block[124:136], block[156:157], block[148:156] = size, kind, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def binary(size: int) -> bytes:
    return b"\x80" + size.to_bytes(11, "big")


@pytest.mark.parametrize(
    "damaged",
    [
        header(b"0", binary(2**80)),
        header(b"L", binary(2**62)),  # a long name, for which memory is reserved
        header(b"L", binary(2**80)),
        header(b"x", binary(2**62)),
        header(b"L", b"00000000000\0") * 2000,  # long names of long names of ...
        header(b"x", b"00000000000\0") * 2000,
    ],
    ids=["size", "name", "large name", "values", "names", "many values"],
)
def test_headers_that_say_what_cannot_be(tmp_path: Path, damaged: bytes) -> None:
    shard = write_shard(tmp_path / "a.tar", pair("0", 0, "a dog"))
    whole = shard.read_bytes()
    end = (whole.index(b"a dog") // tarfile.BLOCKSIZE + 1) * tarfile.BLOCKSIZE
    shard.write_bytes(whole[:end] + damaged)
    with pytest.raises(DataError, match=r"a\.tar: not a tar archive .* or damaged \(.+\); copy"):
        convert(shard, tmp_path / "made")
    assert inside(tmp_path) == ["a.tar"]


def test_a_sparse_member_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its half a kilobyte would be read as 100 MB of zeros."""
    monkeypatch.setattr(tarfile.ExFileObject, "read", lambda *_: pytest.fail("was read"))
    info = tarfile.TarInfo("1.jpg")
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.realsize": "100000000",
    }
    info.size = tarfile.BLOCKSIZE
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(b"1\n0\n0\n".ljust(tarfile.BLOCKSIZE, b"\0")))
    with pytest.raises(DataError, match="a link or another special member"):
        convert(tmp_path / "a.tar", tmp_path / "made")


def test_names_that_cannot_be_printed(tmp_path: Path) -> None:
    """In a process of its own, whose output is UTF-8."""
    info = tarfile.TarInfo("b\udcff\x1b[31m.jpg")
    write_shard(tmp_path / "a.tar", [*pair("a", 0, "a dog"), (info.name, photo(1))])
    command = [sys.executable, "-m", "hgan", "data", "convert", tmp_path / "a.tar"]
    done = subprocess.run([*command, tmp_path / "made"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"1 left out" in done.stdout
    assert rb"a.tar: b\udcff\u001b[31m: no captions" in done.stderr
