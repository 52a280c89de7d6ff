"""Back up an index into one file, and restore it.

An index that a service has open is copied while the service changes nothing, but goes on searching;
see `hgan.index.store.pause`. A backup is restored into a new folder, or as the next generation of
an index, so that the old one stays in use until the new one is whole.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hgan.errors import ConfigError, IndexingError
from hgan.files import refuse_existing, sync_folder
from hgan.index.archive import Archive, blocks, open_archive, write_archive
from hgan.index.store.contract import InUseError
from hgan.index.store.folder import (
    locked_to_read,
    next_store,
    read_manifest,
    refuse_other_files,
    use_generation,
)
from hgan.index.store.generations import generation_folder, store_folder, tidy
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.open import is_address
from hgan.index.store.pause import is_paused, pause
from hgan.index.store.secret import NAME, create_secret, parse_secret
from hgan.index.store.snapshot import OPEN_SPACE
from hgan.progress import progress

PAUSE_WAIT = 30.0
"""Seconds to wait until a service pauses; it finishes the change that it makes first."""


@dataclass(frozen=True)
class Backup:
    """The result of a backup; see `backup_index`."""

    manifest: IndexManifest
    size: int
    """Size of the file in bytes."""


def backup_index(index: Path | str, file: Path | str) -> Backup:
    """Copy an index into one file, which `restore_index` reads.

    The index can be served meanwhile: searches go on, and changes wait until it is copied. The
    model and the photos are not copied.

    Args:
        index: the folder of the index.
        file: the file, which is created.

    Raises:
        IndexingError: there is no index, another process that is not a service has it open, or the
            file cannot be written.
        DataError: the file exists.
        ConfigError: the index is on a server, or the file would be in the index.
    """
    if is_address(index):
        raise ConfigError(_snapshots(str(index)))
    folder, file = Path(index), Path(file)
    read_manifest(folder)  # raises before anything is created
    if file.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{file}: is in the index; choose a file in another folder")
    refuse_existing([file])
    with _unchanged(folder):
        manifest = read_manifest(folder)
        files = _files(folder, manifest)
        before = _states(files)
        try:
            total = sum(blocks(size) for size, _, _ in before.values())
            with progress("backup", total=total, unit="MB") as bar:
                size = write_archive(file, files, manifest, bar.advance)
            intact = before == _states(_files(folder, manifest))
        except OSError as error:
            raise IndexingError(
                f"{file}: the backup cannot be written ({error.strerror or error})"
            ) from error
        if not intact:
            file.unlink()
            raise IndexingError(f"{folder}: was changed while it was copied; try again")
    return Backup(manifest, size)


def restore_index(file: Path | str, to: Path | str, replace_index: bool = False) -> IndexManifest:
    """Restore an index from a backup.

    Everything is checked before the restored index is taken into use. If this fails or is killed,
    an index that was in `to` is as it was.

    Args:
        file: the backup.
        to: the folder of the index, which may not contain other files.
        replace_index: whether an index that is there is replaced. The ids of photos in a service
            then stay those of that index.

    Returns:
        The manifest of the index.

    Raises:
        IndexingError: the backup is missing, damaged, or of a newer version; there is an index, or
            other files, in the folder; it is open in another process, or cannot be written.
        ConfigError: `to` is on a server.
    """
    if is_address(to):
        raise ConfigError(f"{to}: is on a server; a backup is restored into a folder")
    folder, is_new = Path(to), not Path(to).exists()
    with open_archive(Path(file)) as archive:
        if (folder / "index.json").exists():
            if not replace_index:
                raise IndexingError(
                    f"{folder}: there is an index; add --replace to replace it, or choose another "
                    "folder"
                )
        elif not is_new:
            refuse_other_files(folder)
        secret = archive.read_secret()
        if secret is not None:
            parse_secret(secret, f"{file}: secret")
        _check_space(Path(file), archive, folder)
        with _removing(folder, is_new), next_store(folder) as number:
            return _restore(Path(file), archive, folder, number, secret)


def _restore(
    file: Path, archive: Archive, folder: Path, number: int, secret: str | None
) -> IndexManifest:
    """Unpack a generation, check it, and take it into use; the caller holds all locks."""
    place = generation_folder(folder, number)
    try:
        total = sum(blocks(one.size) for one in archive.header.files.values())
        with progress("restore", total=total, unit="MB") as bar:
            archive.unpack(place, bar.advance)
        manifest = replace(
            archive.header.manifest,
            generation=number,
            points=_count(file, folder, archive.header.manifest, store_folder(folder, number)),
        )
        if number == 0:
            (folder / NAME).unlink(missing_ok=True)  # of an index that was not created completely
        create_secret(folder, secret)
        sync_folder(folder)
        use_generation(folder, manifest)
    except BaseException as error:
        shutil.rmtree(place if number else store_folder(folder, 0), ignore_errors=True)
        if isinstance(error, OSError):
            raise IndexingError(
                f"{folder}: cannot be written ({error.strerror or error})"
            ) from error
        raise
    tidy(folder, number)
    return manifest


def _count(file: Path, folder: Path, manifest: IndexManifest, place: Path) -> int:
    """The number of items in an unpacked store, which must be that of its manifest."""
    from hgan.index.store.edge import EdgeStore

    try:
        with EdgeStore.load(
            place, manifest.dense, manifest.local, manifest.quantize, where=folder
        ) as store:
            count = store.count()
    except IndexingError as error:
        raise IndexingError(
            f"{file}: the engine cannot open the index in it ({error.__cause__ or error}); nothing "
            "was changed"
        ) from error
    if manifest.points not in (None, count):
        raise IndexingError(
            f"{file}: damaged, it contains {count} items instead of {manifest.points}; nothing was "
            "changed"
        )
    return count


@contextmanager
def _unchanged(folder: Path) -> Iterator[None]:
    """Hold the lock of an index, or let the service that holds it pause."""
    try:
        with locked_to_read(folder):
            yield
        return
    except InUseError as error:
        in_use = error
    with pause(folder, PAUSE_WAIT) as pauses:
        if not pauses:
            raise in_use
        yield
        if not is_paused(folder):
            raise IndexingError(f"{folder}: the service ended while it was copied; try again")


def _files(folder: Path, manifest: IndexManifest) -> dict[str, Path]:
    """The files of an index by their names in an archive."""
    store = store_folder(folder, manifest.generation)
    found = {
        f"edge/{path.relative_to(store).as_posix()}": path
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }
    if (folder / NAME).is_file():
        found[NAME] = folder / NAME
    return found


def _states(files: dict[str, Path]) -> dict[str, tuple[int, int, int]]:
    """Size, time of the last change and inode of each file."""
    found = {name: path.stat() for name, path in files.items()}
    return {name: (one.st_size, one.st_mtime_ns, one.st_ino) for name, one in found.items()}


def _check_space(file: Path, archive: Archive, folder: Path) -> None:
    place = folder
    while not place.exists():
        place = place.parent
    free, needed = shutil.disk_usage(place).free, archive.header.used + OPEN_SPACE
    if free < needed:
        raise IndexingError(
            f"{folder}: no space to restore {file} ({free / 2**20:.0f} MB free, "
            f"{needed / 2**20:.0f} MB required)"
        )


@contextmanager
def _removing(folder: Path, is_new: bool) -> Iterator[None]:
    """Remove a folder again that was created in vain."""
    try:
        yield
    except BaseException:
        if is_new:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _snapshots(address: str) -> str:
    """How an index on a server is backed up, with its present collection."""
    from hgan.index.store.collection import connected

    with connected(address) as server:
        place = f"{server.settings.url}/collections/{server.collection}/snapshots"
    return (
        f"{address}: is on a server, which makes backups itself: on each node, `curl -X POST "
        f"{place}` creates one, and `curl -X POST {place}/upload -F snapshot=@FILE` restores one"
    )
