"""An index as one file: what is restored finds what the old one finds, hit for hit."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from hgan.cli import main
from hgan.errors import ConfigError, DataError, IndexingError
from hgan.files import is_locked
from hgan.index import backup
from hgan.index.backup import backup_index, restore_index
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.rebuild import rebuild_index
from hgan.index.store import folder as folders
from hgan.index.store.folder import open_store, read_manifest
from hgan.index.store.pause import is_asked, paused
from hgan.index.texts import index_texts
from hgan.runtime.bundle import Bundle
from hgan.search.finder import Hit
from hgan.search.searcher import open_index
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import write_tiny_bundle
from tests.index.test_rebuild import entries, tag

TEXTS = ("a red photo", "two blue dogs in the green snow")


@pytest.fixture(params=[None, pytest.param("int8", marks=pytest.mark.slow)])
def index(request, photos: Path, tmp_path: Path, bundle: Bundle) -> Path:
    """An index with user tags."""
    index_folder(photos, tmp_path / "index", bundle, request.param)
    tag(tmp_path / "index", {"red 0.png": ("sea", "été à deux")})
    return tmp_path / "index"


def hits(index: Path) -> list[Hit]:
    with open_index(index) as opened:
        return [hit for text in TEXTS for hit in opened.search(text, 20)]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_hit_for_hit(index, photos, tmp_path, bundle):
    expected, secret = hits(index), (index / "secret").read_bytes()
    done = backup_index(index, tmp_path / "a.backup")
    file = tmp_path / "a.backup"
    assert done.size == file.stat().st_size
    assert file.stat().st_mode & 0o777 == 0o600
    to = tmp_path / "restored"
    manifest = restore_index(file, to)
    assert (manifest.points, manifest.generation) == (12, 0)
    assert hits(to) == expected
    assert entries(to) == entries(index)
    assert (to / "secret").read_bytes() == secret  # the same ids of photos
    assert (to / "secret").stat().st_mode & 0o777 == 0o600
    used = sum(path.stat().st_blocks * 512 for path in (to / "edge").rglob("*"))
    assert used < 20e6 < sum(path.stat().st_size for path in (to / "edge").rglob("*"))
    with open_store(to, read_manifest(to)) as store:
        assert all(state == "intact" for _, state in store.verify())
    save_photo(photos / "new.png", COLOURS["red"], seed=9)
    assert index_folder(photos, to) == IndexReport(added=1, unchanged=12)
    assert index_folder(photos, index) == IndexReport(added=1, unchanged=12)


@pytest.mark.slow
def test_an_index_that_was_rebuilt(index, tmp_path):
    other = Bundle.load(write_tiny_bundle(tmp_path / "other", seed=1))
    rebuild_index(index, other)
    backup_index(index, tmp_path / "a.backup")
    restore_index(tmp_path / "a.backup", tmp_path / "restored")
    assert hits(tmp_path / "restored") == hits(index)
    assert read_manifest(tmp_path / "restored").generation == 0


def test_texts(tmp_path, bundle):
    (tmp_path / "texts.txt").write_text("a red dog\nthe blue snow\n")
    index_texts(tmp_path / "texts.txt", tmp_path / "index", bundle)
    backup_index(tmp_path / "index", tmp_path / "a.backup")
    restore_index(tmp_path / "a.backup", tmp_path / "restored")
    assert hits(tmp_path / "restored") == hits(tmp_path / "index")


@pytest.mark.slow
def test_an_index_in_a_folder_is_replaced_only_if_wanted(index, photos, tmp_path, bundle):
    backup_index(index, tmp_path / "a.backup")
    expected, secret = hits(index), (index / "secret").read_bytes()
    to = tmp_path / "other"
    index_folder(photos / "red", to, bundle)
    before, own = contents(to), (to / "secret").read_bytes()
    with pytest.raises(IndexingError, match="there is an index; add --replace"):
        restore_index(tmp_path / "a.backup", to)
    assert contents(to) == before
    (to / "generation-1").mkdir()  # of a rebuild that was interrupted
    (to / "generation-1/index.json").write_text("{}")
    assert restore_index(tmp_path / "a.backup", to, replace_index=True).generation == 1
    assert hits(to) == expected
    assert (to / "secret").read_bytes() == own != secret  # links to its photos stay valid
    assert {path.name for path in to.iterdir()} == {
        "generation-1", "index.json", "lock", "rebuild", "secret",
    }  # fmt: skip
    assert {path.name for path in (to / "generation-1").iterdir()} == {"edge"}


def test_bad_input(index, photos, tmp_path):
    file = tmp_path / "a.backup"
    with pytest.raises(IndexingError, match="no index here"):
        backup_index(tmp_path / "none", file)
    with pytest.raises(ConfigError, match="is in the index"):
        backup_index(index, index / "a.backup")
    backup_index(index, file)
    with pytest.raises(DataError, match="already exists"):
        backup_index(index, file)
    with pytest.raises(IndexingError, match="cannot be written"):
        backup_index(index, file / "in a file")
    with pytest.raises(IndexingError, match=r"none\.backup: no such file"):
        restore_index(tmp_path / "none.backup", tmp_path / "to")
    with pytest.raises(IndexingError, match="a folder, not a backup"):
        restore_index(photos, tmp_path / "to")
    with pytest.raises(IndexingError, match="contains other files"):
        restore_index(file, photos)
    with pytest.raises(IndexingError, match="cannot be written"):
        restore_index(file, file)
    with pytest.raises(ConfigError, match="is on a server"):
        restore_index(file, "http://localhost:1/photos")
    assert not (tmp_path / "to").exists()
    assert len(list(photos.rglob("*"))) == 15


def test_no_space(index, tmp_path, monkeypatch):
    backup_index(index, tmp_path / "a.backup")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: usage._replace(free=30 * 2**20))
    with pytest.raises(IndexingError, match=r"no space to restore .*30 MB free, 6. MB required"):
        restore_index(tmp_path / "a.backup", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_open_in_another_process(index, tmp_path, monkeypatch):
    backup_index(index, tmp_path / "a.backup")
    monkeypatch.setattr(folders, "LOCK_WAIT", 0.1)
    monkeypatch.setattr(backup, "PAUSE_WAIT", 0.3)
    with open_index(index):
        with pytest.raises(IndexingError, match="another process is using this index"):
            backup_index(index, tmp_path / "b.backup")
        with pytest.raises(IndexingError, match="another process is using this index"):
            restore_index(tmp_path / "a.backup", index, replace_index=True)
    with folders.rebuilding(index), pytest.raises(IndexingError, match="is rebuilding"):
        restore_index(tmp_path / "a.backup", index, replace_index=True)
    assert not (tmp_path / "b.backup").exists()
    assert len(entries(index)) == 12


def test_a_pause_that_ends_too_early(index, tmp_path, monkeypatch):
    """The service is killed while its index is copied."""
    monkeypatch.setattr(folders, "LOCK_WAIT", 0.1)
    write, ended = backup.write_archive, threading.Event()

    def service() -> None:
        with folders.hold(index):
            while not is_asked(index):
                pass
            with paused(index):
                ended.wait(20)

    def late(*given):
        ended.set()
        thread.join()
        return write(*given)

    monkeypatch.setattr(backup, "write_archive", late)
    thread = threading.Thread(target=service)
    thread.start()
    while not is_locked(index / "lock"):
        pass
    with pytest.raises(IndexingError, match="the service ended while it was copied"):
        backup_index(index, tmp_path / "a.backup")


def test_a_change_while_the_files_are_copied(index, tmp_path, monkeypatch):
    write = backup.write_archive

    def changed(file, files, *rest):
        size = write(file, files, *rest)
        os.utime(files["edge/changed"])
        return size

    monkeypatch.setattr(backup, "write_archive", changed)
    with pytest.raises(IndexingError, match="was changed while it was copied; try again"):
        backup_index(index, tmp_path / "a.backup")
    assert not (tmp_path / "a.backup").exists()


@pytest.mark.slow
def test_an_index_that_cannot_be_written(index, tmp_path, monkeypatch):
    """On a full disk, or read-only: it can be saved elsewhere."""
    monkeypatch.setattr(folders, "why_not_writable", lambda _folder: "it is read-only")
    monkeypatch.setattr(os, "access", lambda *_: False)
    backup_index(index, tmp_path / "a.backup")
    monkeypatch.undo()
    restore_index(tmp_path / "a.backup", tmp_path / "restored")
    assert hits(tmp_path / "restored") == hits(index)


KILL = """
    import os, signal, sys
    from hgan.index.backup import backup_index, restore_index
    what, first, second, moment = sys.argv[1:]
    moment, done = int(moment), 0

    def count(event, _arguments):
        global done
        if event.partition(".")[0] in ("open", "os", "shutil"):
            done += 1
            if done == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    import hgan.index.store.edge, zoneinfo
    sys.addaudithook(count)
    if what == "backup":
        backup_index(first, second)
    else:
        restore_index(first, second, True)
    print(done)
"""


def run(what: str, first: Path, second: Path, moment: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", textwrap.dedent(KILL), what, first, second, str(moment)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["backup", "restore"])
def test_kills_at_any_moment(photos, tmp_path, bundle, what):
    index, file = tmp_path / "index", tmp_path / "a.backup"
    index_folder(photos, index, bundle)
    expected = hits(index)
    backup_index(index, file)
    small = tmp_path / "small"
    index_folder(photos / "red", small, bundle)

    def given(number: int) -> tuple[Path, Path]:
        if what == "backup":
            return index, tmp_path / f"{number}.backup"
        return file, shutil.copytree(small, tmp_path / f"to {number}")

    total = int(run(what, *given(0), 0).stdout)
    for kill in range(1, 11):
        first, second = given(kill)
        assert run(what, first, second, kill * total // 10).returncode == -signal.SIGKILL
        if what == "backup":
            assert hits(index) == expected
            assert not second.exists() or restore_index(second, tmp_path / f"r{kill}").points == 12
            second.unlink(missing_ok=True)
            assert run(what, first, second, 0).returncode == 0
            assert restore_index(second, tmp_path / f"again {kill}").points == 12
            assert not list(tmp_path.glob(".*.tmp"))
        else:
            assert len(hits(second)) in (6, 24)  # the old index, or the restored one
            restore_index(file, second, replace_index=True)
            assert hits(second) == expected


def test_by_command(index, tmp_path, capsys):
    to, file = str(tmp_path / "to"), str(tmp_path / "a.backup")
    assert main(["backup", str(index), file]) == 0
    assert capsys.readouterr().out.endswith(f" MB: {file}\n")
    assert main(["restore", file, to]) == 0
    assert capsys.readouterr().out == f"12 photos: {to}\n"
    assert main(["restore", file, to]) == 2
    assert "add --replace" in capsys.readouterr().err
    assert main(["restore", file, to, "--replace"]) == 0
    assert main(["search", "red", "--index", to, "-k", "1"]) == 0


def test_a_machine_without_the_photos_and_the_model(photos, tmp_path, capsys):
    Bundle.load(write_tiny_bundle(tmp_path / "own"))
    index_folder(photos, tmp_path / "index", tmp_path / "own")
    assert main(["backup", str(tmp_path / "index"), str(tmp_path / "a.backup")]) == 0
    shutil.rmtree(photos)
    shutil.rmtree(tmp_path / "own")
    assert main(["restore", str(tmp_path / "a.backup"), str(tmp_path / "to")]) == 0
    said = capsys.readouterr()
    assert "12 photos" in said.out
    assert "its model, tiny, is not in" in said.err
    assert f"its photos are not in {photos} here" in said.err
