"""A watched folder: added, changed and removed photos, half-written ones, and how it stops."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest

from hgan.errors import ConfigError, HganError
from hgan.index import watcher as watch
from hgan.index.indexer import IndexReport, index_folder, open_writer
from hgan.index.watcher import Watcher, WatchEvent, watch_folder
from hgan.index.writer import IndexWriter
from hgan.search.searcher import open_index
from hgan.sources.folder import FolderSource
from hgan.sources.left_out import LeftOut
from hgan.sources.open import open_source
from hgan.sources.roots import Roots
from tests.fixtures.messy import picture
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.qdrant_proxy import new_server

PATIENCE = 60.0
"""Seconds; machines may be busy."""


def wait_for(true: Callable[[], bool]) -> None:
    patience = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < patience, "it did not happen"
        time.sleep(0.05)


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch) -> float:
    """A short time to settle."""
    monkeypatch.setattr(watch, "SETTLE", 0.2)
    return 0.2


@pytest.fixture
def writer(photos, tmp_path, bundle) -> Iterator[IndexWriter]:
    index_folder(photos, tmp_path / "index", bundle)
    with open_writer(open_source(photos), tmp_path / "index", bundle) as opened:
        yield opened


def paths(writer: IndexWriter) -> set[str]:
    return {entry.path for entry in writer._store.entries()}


def test_a_look_takes_what_has_settled(photos, writer, settle):
    watcher = Watcher(Roots(photos), lambda: nullcontext(writer))
    assert watcher.look() == IndexReport(unchanged=12)
    save_photo(photos / "new.png", (200, 200, 0))
    save_photo(photos / "red 0.png", COLOURS["blue"], seed=5)
    (photos / "blue 0.png").unlink()
    assert watcher.look() == IndexReport(removed=1, unchanged=10)
    assert watcher.has_unsettled
    assert watcher.look() == IndexReport(unchanged=10)
    time.sleep(settle)
    assert watcher.look() == IndexReport(added=1, updated=1, unchanged=10)
    assert not watcher.has_unsettled
    assert paths(writer) >= {"new.png", "red 0.png"}
    assert "blue 0.png" not in paths(writer)


def test_a_photo_that_grows_is_not_read(photos, writer, settle, monkeypatch):
    whole = save_photo(photos.parent / "whole.png", (9, 99, 9)).read_bytes()
    read = []
    monkeypatch.setattr(
        FolderSource, "read", lambda _source, photo: read.append(photo.path) or 1 / 0
    )
    watcher = Watcher(Roots(photos), lambda: nullcontext(writer))
    with (photos / "slow.png").open("wb") as file:
        for start in range(0, len(whole), len(whole) // 5):
            file.write(whole[start : start + len(whole) // 5])
            file.flush()
            assert watcher.look() == IndexReport(unchanged=12)
            time.sleep(settle)
    assert read == []
    monkeypatch.undo()
    monkeypatch.setattr(watch, "SETTLE", settle)
    assert watcher.look().added == 1


def test_a_bad_photo_is_tried_and_told_once(photos, writer, settle, monkeypatch):
    good = (photos / "red 0.png").read_bytes()
    watcher = Watcher(Roots(photos), lambda: nullcontext(writer))
    (photos / "red 0.png").write_bytes(good[: len(good) // 2])
    (photos / "link.png").symlink_to("nowhere")
    assert set(watcher.look().skipped) == {"link.png"}
    time.sleep(settle)
    report = watcher.look()
    assert (set(report.skipped), report.removed) == ({"red 0.png"}, 1)
    with monkeypatch.context() as patch:
        patch.setattr(FolderSource, "read", None)
        assert watcher.look() == IndexReport(unchanged=11)
    (photos / "red 0.png").write_bytes(good)
    watcher.look()
    time.sleep(settle)
    assert watcher.look() == IndexReport(added=1, unchanged=11)


def test_the_index_is_arranged_after_many_changes(photos, writer, settle, monkeypatch):
    monkeypatch.setattr(watch, "OPTIMIZE_AFTER", 3)
    arranged = []
    monkeypatch.setattr(writer, "optimize", lambda: arranged.append(1))
    watcher = Watcher(Roots(photos), lambda: nullcontext(writer))
    for path in ("red 0.png", "blue 0.png", "green 0.png", "red/red 1.png"):
        (photos / path).unlink()
        watcher.look()
    assert len(arranged) == 1


@contextmanager
def following(folder: Path, to: Path | str, bundle, told: list[WatchEvent]) -> Iterator[None]:
    """`watch_folder` in a thread, past its first pass."""
    stop = Event()
    errors: list[Exception] = []

    def run() -> None:
        try:
            watch_folder(folder, to, bundle, on_event=told.append, stop=stop)
        except Exception as error:
            errors.append(error)

    thread = Thread(target=run)
    thread.start()
    try:
        wait_for(lambda: bool(told or errors))
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert not thread.is_alive()
    assert errors == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "inside", "server"])
def test_a_folder_is_followed(photos, tmp_path, bundle, settle, kind, monkeypatch):
    made = new_server()
    monkeypatch.setattr("hgan.index.store.server.connect", lambda _settings: made)
    places = {"folder": tmp_path / "index", "inside": photos / "my.index"}
    to = places.get(kind, "http://qdrant:6333/photos")
    told: list[WatchEvent] = []
    with following(photos, to, bundle, told):
        first = told.pop(0).report
        assert first is not None and replace(first, left_out=LeftOut()) == IndexReport(added=12)
        assert (first.left_out.total > 0) == (kind == "inside")  # the files of the index
        save_photo(photos / "new folder.2023" / "deep" / "new.png", (200, 200, 0))
        shutil.move(photos / "red", photos / "moved")
        (photos / "blue/blue 2.png").unlink()
        (photos / "notes.txt").write_text("no photo")

        def done() -> bool:
            reports = [event.report for event in told if event.report]
            return (sum(r.added for r in reports), sum(r.removed for r in reports)) == (4, 4)

        wait_for(done)
    with open_index(to, bundle) as index:
        names = {hit.path.relative_to(photos).as_posix() for hit in index.search("red", k=50)}
    expected = {path.relative_to(photos).as_posix() for path in photos.rglob("*.png")}
    assert names == expected
    assert "new folder.2023/deep/new.png" in names


@pytest.mark.slow
def test_rules_are_followed_and_may_change(photos, tmp_path, bundle, settle):
    told: list[WatchEvent] = []

    def counts() -> tuple[int, int]:
        reports = [event.report for event in told if event.report]
        return sum(r.added for r in reports), sum(r.removed for r in reports)

    index_folder(photos, tmp_path / "index", bundle, exclude=["*.gif"])
    with following(photos, tmp_path / "index", bundle, told):
        assert told.pop(0).report == IndexReport(unchanged=12)
        save_photo(photos / "no.gif", COLOURS["red"])
        save_photo(photos / "@eaDir/no.png", COLOURS["red"])
        picture(1, (400, 30)).save(photos / "small.png")
        save_photo(photos / "yes.png", COLOURS["red"], seed=5)
        wait_for(lambda: counts() == (1, 0))
        (photos / ".hganignore").write_text("red/\n!@eaDir/\n")
        wait_for(lambda: counts() == (2, 3))
        (photos / ".hganignore").unlink()
        wait_for(lambda: counts() == (5, 4))
        assert not any(event.report.skipped for event in told if event.report)


def test_events_in_ignored_folders_change_nothing(photos, writer):
    watchfiles = pytest.importorskip("watchfiles")
    save_photo(photos / "@eaDir/1.png", COLOURS["red"])
    watcher = Watcher(Roots(photos), lambda: nullcontext(writer), photos / "my.index")
    watcher.look()

    def relevant(path: str, change: str = "modified") -> bool:
        return watcher._is_relevant(watchfiles.Change[change], str(photos / path))

    assert relevant("new.png") and relevant("new.heic") and relevant("red/.hganignore")
    assert relevant("red") and relevant("gone.txt", "deleted")
    assert not relevant("notes.txt") and not relevant("my.index/index.json", "deleted")
    assert not relevant("@eaDir/2.png") and not relevant("@eaDir", "deleted")


@pytest.mark.slow
def test_trouble_is_told_once_and_tried_again(photos, tmp_path, bundle, settle):
    told: list[WatchEvent] = []
    with following(photos, tmp_path / "index", bundle, told):
        told.clear()
        photos.rename(tmp_path / "away")  # as when a disk is taken out
        photos.mkdir()
        (tmp_path / "away/red 0.png").unlink()
        wait_for(lambda: any(event.problem for event in told))
        time.sleep(4 * settle)
        assert [event.report for event in told] == [None]
        assert "no photos here" in told[0].problem
        for path in (tmp_path / "away").iterdir():
            path.rename(photos / path.name)
        wait_for(lambda: len(told) > 1)
        save_photo(photos / "new.png", (200, 200, 0))  # the folder is another now
        wait_for(lambda: len(told) > 2)
    assert told[1].report == IndexReport(removed=1, unchanged=11)
    assert told[2].report == IndexReport(added=1, unchanged=11)


def test_without_the_library(photos, tmp_path, bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(ConfigError, match=r"pip install 'hgan\[watch\]'"):
        watch_folder(photos, tmp_path / "index", bundle)


def test_first_pass_raises(tmp_path, bundle):
    (tmp_path / "empty").mkdir()
    with pytest.raises(HganError, match="no photos here"):
        watch_folder(tmp_path / "empty", tmp_path / "index", bundle)


@pytest.mark.slow
def test_by_command_until_interrupted(photos, tmp_path, bundle):
    to = tmp_path / "index"
    command = [sys.executable, "-m", "hgan", "index", str(photos), "--to", str(to), "--watch"]
    command += ["--bundle", str(bundle.folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as watching:  # fmt: skip
        assert watching.stdout is not None
        assert watching.stdout.readline().startswith("12 added, ")
        save_photo(photos / "new.png", (200, 200, 0))
        assert watching.stdout.readline().startswith("1 added, ")
        os.kill(watching.pid, signal.SIGINT)
        _, errors = watching.communicate(timeout=PATIENCE)
    assert watching.returncode == 0, errors
    assert errors.strip() == "stopped"
    with open_index(to, bundle) as index:
        assert len(index) == 13
