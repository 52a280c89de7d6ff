"""The file of a backup: a ZIP archive with the files of an index, and their checksums.

    edge/...       the files of the store
    secret         see `hgan.index.store.secret`
    backup.json    the manifest of the index; size and SHA-256 of each file

Parts of a file that are zero are not written when it is unpacked, because the engine's files
consist mostly of holes. An archive can come from anybody: its names, sizes and checksums are
checked, and nothing is unpacked outside of the given folder, nor more than there is space for.
"""

import hashlib
import json
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from hgan.errors import IndexingError
from hgan.files import atomic_write, parse_json
from hgan.index.store.manifest import IndexManifest
from hgan.runtime.ranges import check_integer, check_text
from hgan.version import __version__

FORMAT = 1
"""Version of the format."""
BLOCK = 2**20
"""Bytes that are read at once."""

_HEADER = "backup.json"
_HOLE = 4096
"""Bytes of a block of the file system; those that are all zero need no space."""
_ZEROS = bytes(_HOLE)
_MOST_HEADER = 64 * 2**20
"""Maximum size of the header in bytes."""
_MOST_DENSE = 1100
"""Maximum number of bytes that deflate packs into one."""
_DAMAGED = (BadZipFile, EOFError, NotImplementedError, RuntimeError, UnicodeError, zlib.error)
"""What zipfile raises for an archive that is damaged or encrypted."""


@dataclass(frozen=True)
class ArchivedFile:
    """A file in an archive."""

    size: int
    sha256: str

    def __post_init__(self) -> None:
        """Raises ValueError if a field has a wrong type, or is out of range."""
        check_integer("size", self.size, 0, 2**53)
        check_text("sha256", self.sha256)


@dataclass(frozen=True)
class Header:
    """The content of `backup.json`."""

    manifest: IndexManifest
    files: dict[str, ArchivedFile]
    """By name."""
    used: int
    """Bytes of all files together, without those blocks that are zero."""


def write_archive(
    file: Path, files: dict[str, Path], manifest: IndexManifest, advance: Callable[[], object]
) -> int:
    """Write an archive; it appears at `file` only when it is complete. Only its owner can read it.

    Args:
        file: the archive.
        files: the files by their names in it.
        manifest: the manifest of the index.
        advance: called after each `BLOCK` of the files, and after each last block.

    Returns:
        The size of the archive in bytes.

    Raises:
        OSError: a file cannot be read, or the archive cannot be written.
    """
    written, used = {}, 0
    with atomic_write(file) as out:
        if hasattr(os, "fchmod"):
            os.fchmod(out.fileno(), 0o600)
        with ZipFile(out, "w", ZIP_DEFLATED, compresslevel=1) as archive:
            for name, path in files.items():
                digest, size = hashlib.sha256(), 0
                with path.open("rb") as read, archive.open(name, "w", force_zip64=True) as target:
                    while block := read.read(BLOCK):
                        target.write(block)
                        digest.update(block)
                        size += len(block)
                        used += sum(len(part) for _, part in _filled(block))
                        advance()
                written[name] = ArchivedFile(size, digest.hexdigest())
            header = {
                "format": FORMAT,
                "hgan": __version__,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "manifest": manifest.as_dict(),
                "files": {name: asdict(one) for name, one in written.items()},
                "used": used,
            }
            archive.writestr(_HEADER, json.dumps(header, indent=1))
    return file.stat().st_size


class Archive:
    """An open archive whose header was checked."""

    def __init__(self, file: Path, archive: ZipFile, header: Header) -> None:
        """Use `open_archive`."""
        self._file = file
        self._archive = archive
        self.header = header

    def read_secret(self) -> str | None:
        """The text of the secret; None if there is none.

        Raises:
            IndexingError: it is damaged.
        """
        one = self.header.files.get("secret")
        if one is None:
            return None
        with _reading(self._file):
            if one.size > _HOLE:
                raise BadZipFile("the secret is too long")
            data = self._archive.read("secret")
            if hashlib.sha256(data).hexdigest() != one.sha256:
                raise BadZipFile("the checksum of secret is wrong")
            return data.decode("ascii")

    def unpack(self, folder: Path, advance: Callable[[], object]) -> None:
        """Unpack the files of the store into a new folder, and compare their checksums.

        Args:
            folder: the folder; `edge/` is created in it.
            advance: see `write_archive`.

        Raises:
            IndexingError: the archive is damaged; what was unpacked before is left.
            OSError: a file cannot be written.
        """
        left = self.header.used
        for name, one in self.header.files.items():
            if name == "secret":
                continue
            with (
                _reading(self._file),
                self._archive.open(name) as read,
                _new_file(folder / name) as out,
            ):
                digest = hashlib.sha256()
                position = 0
                while block := read.read(BLOCK):
                    digest.update(block)
                    left -= _write_filled(out, position, block)
                    position += len(block)
                    if left < 0 or position > one.size:
                        raise BadZipFile(f"{name} is larger than its size")
                    advance()
                out.truncate(position)
                out.flush()
                os.fsync(out.fileno())
                if digest.hexdigest() != one.sha256 or position != one.size:
                    raise BadZipFile(f"the checksum of {name} is wrong")


@contextmanager
def open_archive(file: Path) -> Iterator[Archive]:
    """Open an archive, and check everything but the content of its files.

    Raises:
        IndexingError: there is no such file, it is not a backup, it is damaged, or of a newer
            version.
    """
    with _reading(file):
        archive = ZipFile(file)
    with archive:
        with _reading(file):
            header = _read_header(file, archive)
            _check_members(file, archive, header)
        yield Archive(file, archive, header)


def blocks(size: int) -> int:
    """How often `advance` is called for a file of this size."""
    return -(-size // BLOCK)


def _read_header(file: Path, archive: ZipFile) -> Header:
    try:
        info = archive.getinfo(_HEADER)
    except KeyError as error:
        raise IndexingError(f"{file}: not a backup of hgan") from error
    if info.file_size > _MOST_HEADER:
        raise BadZipFile(f"{_HEADER} is too long")
    try:
        values: dict[str, Any] = parse_json(archive.read(info))
        version = values["format"]
        if type(version) is int and version > FORMAT:
            raise IndexingError(
                f"{file}: a backup of format version {version}, this program reads up to {FORMAT}; "
                "upgrade hgan"
            )
        check_integer("format", version, 1, FORMAT)
        files = {name: ArchivedFile(**one) for name, one in values["files"].items()}
        check_integer("used", values["used"], 0, 2**53)
        return Header(IndexManifest.parse(values["manifest"], file), files, values["used"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadZipFile(f"{_HEADER}: {error}") from error


def _check_members(file: Path, archive: ZipFile, header: Header) -> None:
    members = archive.infolist()
    names = [info.filename for info in members]
    if sorted(names) != sorted([*header.files, _HEADER]):
        raise BadZipFile(f"its files are not those of {_HEADER}")
    for info in members:
        if info.filename != _HEADER:
            _check_name(info.filename)
            if info.file_size != header.files[info.filename].size:
                raise BadZipFile(f"{info.filename} has a wrong size")
        _check_kind(info)
    if sum(info.file_size for info in members) > _MOST_DENSE * file.stat().st_size:
        raise BadZipFile("its files are larger than the archive can contain")


def _check_name(name: str) -> None:
    """Raise BadZipFile unless a name is that of a file of an index."""
    parts = name.split("/")
    good = name == "secret" or (parts[0] == "edge" and len(parts) > 1)
    if (
        not good
        or any(part in ("", ".", "..") or len(part) > 255 for part in parts)
        or any(char in '\\:*?"<>|' or ord(char) < 32 or ord(char) > 126 for char in name)
        or str(PurePosixPath(name)) != name
    ):
        raise BadZipFile(f"{name!r} is not the name of a file of an index")


def _check_kind(info: ZipInfo) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or info.is_dir():
        raise BadZipFile(f"{info.filename} is not a regular file")
    if info.flag_bits & 1 or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise BadZipFile(f"{info.filename} is encrypted, or packed in another way")


def _new_file(place: Path) -> BinaryIO:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        return place.open("xb")
    except (FileExistsError, NotADirectoryError) as error:
        raise BadZipFile(f"{place.name} is there twice") from error


def _filled(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the position and the content of each part of a block that is not zero."""
    for start in range(0, len(block), _HOLE):
        part = block[start : start + _HOLE]
        if part != _ZEROS[: len(part)]:
            yield start, part


def _write_filled(out: BinaryIO, position: int, block: bytes) -> int:
    """Write a block without its holes; returns the number of bytes that were written."""
    count = 0
    for start, part in _filled(block):
        out.seek(position + start)
        out.write(part)
        count += len(part)
    return count


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if error.filename == str(file):
            raise IndexingError(f"{file}: no such file") from error
        raise
    except IsADirectoryError as error:
        raise IndexingError(f"{file}: a folder, not a backup") from error
    except _DAMAGED as error:
        raise IndexingError(
            f"{file}: not a backup of hgan, or damaged ({error}); nothing was changed"
        ) from error
