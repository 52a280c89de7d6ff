"""Backups that are damaged, or come from somebody else: refused, and nothing is changed."""

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

from hgan.errors import IndexingError
from hgan.index.archive import FORMAT
from hgan.index.backup import backup_index, restore_index
from hgan.index.indexer import index_folder
from hgan.index.store.manifest import FORMAT_VERSION
from hgan.runtime.bundle import Bundle
from tests.fixtures.photos import COLOURS, save_photo

Files = dict[str, bytes]
EMPTY = b"PK\x05\x06" + bytes(18)  # an archive without files


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> bytes:
    folder = tmp_path_factory.mktemp("made")
    for name, colour in COLOURS.items():
        save_photo(folder / f"photos/{name}.png", colour)
    index_folder(folder / "photos", folder / "index", bundle)
    backup_index(folder / "index", folder / "a.backup")
    return (folder / "a.backup").read_bytes()


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Callable[..., None]:
    """Restores bytes into a new folder, and over an index, and checks that nothing changes."""
    folder = tmp_path_factory.mktemp("refused")
    index = folder / "index"
    save_photo(folder / "photos" / "red.png", COLOURS["red"])
    index_folder(folder / "photos", index, bundle)
    (folder / "secret.txt").write_text("not for archives")

    def refuse(data: bytes, reason: str = "nothing was changed") -> None:
        file = folder / "bad.backup"
        file.write_bytes(data)
        before = listing(folder)
        for to in (folder / "new" / "index", index):
            with pytest.raises(IndexingError, match=reason) as caught:
                restore_index(file, to, replace_index=True)
            assert str(file) in str(caught.value)
            assert "\n" not in str(caught.value)
        after = listing(folder)
        after.pop("index/rebuild", None)
        assert {k: v for k, v in before.items() if k != "index/rebuild"} == after

    return refuse


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock"
    }


@cache
def contents(backup: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(backup)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def unpacked(backup: bytes) -> tuple[Files, dict]:
    files = dict(contents(backup))
    return files, json.loads(files.pop("backup.json"))


def packed(
    backup: bytes, files: Files, header: object, kinds: dict[str, int] | None = None
) -> bytes:
    """The backup with these files and this header. Files that it has are not compressed again: the
    engine reserves hundreds of megabytes."""
    out = io.BytesIO()
    out.write(backup)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        has = contents(backup)
        kept = {name for name, data in files.items() if data is has.get(name)} - set(kinds or {})
        archive.filelist[:] = [info for info in archive.filelist if info.filename in kept]
        archive.NameToInfo = {info.filename: info for info in archive.filelist}
        for name in [name for name in files if name not in kept]:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (kinds or {}).get(name, 0o100600) << 16
            archive.writestr(info, files[name])
        archive.writestr("backup.json", header if isinstance(header, bytes) else json.dumps(header))
    return out.getvalue()


def test_what_is_packed_again_is_restored(backup, tmp_path):
    """So the tests below fail for the reason that they are about."""
    (tmp_path / "a.backup").write_bytes(packed(backup, *unpacked(backup)))
    assert restore_index(tmp_path / "a.backup", tmp_path / "to").points == 3


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 0.99999])
def test_truncated(refused, backup, share):
    refused(backup[: int(share * len(backup))])


@pytest.mark.slow
def test_any_changed_byte(backup, tmp_path, photos):
    """It is refused, or is one that does not matter, such as the time in a ZIP header."""
    rng = random.Random(0)
    outcomes = []
    for number in range(40):
        data = bytearray(backup)
        place = rng.randrange(len(data)) if number % 2 else len(data) - 1 - rng.randrange(6000)
        data[place] ^= 1 << rng.randrange(8)
        (tmp_path / "bad.backup").write_bytes(data)
        to = tmp_path / f"to {number}"
        try:
            assert restore_index(tmp_path / "bad.backup", to).points == 3
            outcomes.append("same")
        except IndexingError:
            assert not to.exists()
            outcomes.append("refused")
    assert outcomes.count("refused") > 10


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "edge/../../secret.txt",
        "/etc/passwd",
        "edge//x",
        "edge/./x",
        "edge/x\\..\\y",
        "C:/x",
        "edge/x:stream",
        "lock",
        "index.json",
        "generation-1/edge/x",
        "edge",
        "edge/",
        "edge/\x01",
        "edge/" + 300 * "x",
        "secret/x",
    ],
)
def test_names_that_lead_elsewhere(refused, backup, name):
    files, header = unpacked(backup)
    files[name] = b"x"
    header["files"][name] = {"size": 1, "sha256": sha(b"x")}
    refused(packed(backup, files, header))


def sha(data: bytes) -> str:
    return sha256(data).hexdigest()


@pytest.mark.parametrize("kind", [0o120777, 0o040755, 0o010644, 0o020644])
def test_links_folders_and_devices(refused, backup, kind):
    files, header = unpacked(backup)
    name = next(name for name in files if name.startswith("edge/"))
    files["edge/link"] = b"../../secret.txt"
    header["files"]["edge/link"] = {"size": 16, "sha256": sha(files["edge/link"])}
    refused(
        packed(backup, files, header, {"edge/link": kind}),
        f"edge/link is not a regular file|{name}",
    )


def test_a_name_that_is_a_file_and_a_folder(refused, backup):
    files, header = unpacked(backup)
    for name in ("edge/a", "edge/a/b"):
        files[name] = b"x"
        header["files"][name] = {"size": 1, "sha256": sha(b"x")}
    refused(packed(backup, files, header), "b is there twice")


def test_files_that_are_not_listed_or_missing(refused, backup):
    files, header = unpacked(backup)
    refused(packed(backup, {**files, "edge/more": b"x"}, header), "its files are not those of")
    name = next(iter(files))
    refused(
        packed(backup, {k: v for k, v in files.items() if k != name}, header), "its files are not"
    )


def test_a_name_twice(refused, backup):
    files, header = unpacked(backup)
    out = io.BytesIO(packed(backup, files, header))
    with zipfile.ZipFile(out, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("secret", b"x")
    refused(out.getvalue(), "its files are not those of")


def test_content_of_another_checksum(refused, backup):
    files, header = unpacked(backup)
    name = "edge/edge_config.json"
    files[name] = files[name].replace(b"Dot", b"Cos")
    refused(packed(backup, files, header), f"the checksum of {name} is wrong")


def test_a_file_that_is_larger_than_it_says(refused, backup):
    files, header = unpacked(backup)
    header["files"]["edge/edge_config.json"]["size"] -= 1
    refused(packed(backup, files, header), "has a wrong size")
    header["files"]["edge/edge_config.json"]["size"] += 1
    header["used"] = 100
    refused(packed(backup, files, header), "is larger than its size")


def test_bombs(refused, backup):
    files, header = unpacked(backup)
    header["used"] = 2**50
    refused(packed(backup, files, header), "no space to restore")
    header["used"] = -1
    refused(packed(backup, files, header))
    refused(packed(backup, files, b'{"format": 1, "files": ' + b"[" * 100_000))
    # One compressed file under many names: a directory that says more than there can be.
    data = packed(EMPTY, {"edge/a": bytes(2**20)}, header)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.getinfo("edge/a").compress_size < 10_000
    header["used"], header["files"] = 0, {}
    names = [f"edge/{number}" for number in range(3000)]
    refused(overlapping(names, header), "larger than the archive can contain")


def overlapping(names: list[str], header: dict) -> bytes:
    """An archive in which all names refer to the same compressed megabyte."""
    header["files"] = {name: {"size": 2**20, "sha256": sha(bytes(2**20))} for name in names}
    data = bytearray(packed(EMPTY, {names[0]: bytes(2**20)}, header))
    end = data.rindex(b"PK\x05\x06")
    (count, _, size, start) = struct.unpack("<HHLL", data[end + 8 : end + 20])
    assert count == 2
    length = 46 + len(names[0])
    one, rest = data[start : start + length], data[start + length : start + size]
    assert one[46:] == names[0].encode()
    entries = b""
    for name in names:
        made = bytearray(one[:46])
        made[28:30] = struct.pack("<H", len(name))
        entries += bytes(made) + name.encode()
    tail = data[end:]
    tail[8:20] = struct.pack(
        "<HHLL", len(names) + 1, len(names) + 1, len(entries) + len(rest), start
    )
    return bytes(data[:start]) + entries + bytes(rest) + bytes(tail)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda header: header.update(format=FORMAT + 1), "upgrade hgan"),
        (lambda header: header.update(format="1"), "nothing was changed"),
        (lambda header: header.pop("manifest"), "nothing was changed"),
        (lambda header: header["manifest"].update(format_version=FORMAT_VERSION + 1), "upgrade"),
        (lambda header: header["manifest"].update(dense=-1), "damaged"),
        (lambda header: header["manifest"].update(dense=header["manifest"]["dense"] + 1), "widths"),
        (lambda header: header["manifest"].update(points=4), "3 items instead of 4"),
        (lambda header: header.update(files=[]), "nothing was changed"),
        (lambda header: header["files"].update(secret=1), "nothing was changed"),
        (lambda header: header["files"].update(secret={"size": 1}), "nothing was changed"),
    ],
)
def test_headers(refused, backup, change, reason):
    files, header = unpacked(backup)
    change(header)
    refused(packed(backup, files, header), reason)


def test_other_archives(refused, backup):
    files, header = unpacked(backup)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("index.json", "{}")
    refused(out.getvalue(), "not a backup of hgan")
    refused(b"\x1f\x8b\x08" + bytes(100))
    refused(packed(backup, files, [header]))
    files["secret"] = b"zz" * 32
    header["files"]["secret"]["sha256"] = sha(files["secret"])
    refused(packed(backup, files, header), "secret: damaged")


def test_files_that_the_engine_cannot_read(refused, backup):
    files, header = unpacked(backup)
    for name in list(files):
        if name.endswith(".json") and "segments" in name:
            files[name] = b"{"
            header["files"][name] = {"size": 1, "sha256": sha(b"{")}
    refused(packed(backup, files, header), "the engine cannot open the index in it")


def test_encrypted(refused, backup):
    files, header = unpacked(backup)
    data = bytearray(packed(backup, files, header))
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    refused(bytes(data), "encrypted")
