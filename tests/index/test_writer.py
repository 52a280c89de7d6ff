"""The writer of an index: tags of users, changes during an update, and a stateful model."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hgan.encoded import Encoded
from hgan.errors import IndexingError
from hgan.index import watcher as watch
from hgan.index.conditions.filter import Filter
from hgan.index.indexer import IndexReport, index_folder, open_writer
from hgan.index.store.contract import Entry
from hgan.index.watcher import Watcher
from hgan.index.writer import IndexWriter
from hgan.runtime.bundle import Bundle
from hgan.runtime.preprocessing import Preprocessing
from hgan.search.query import Query
from hgan.search.searcher import open_index
from hgan.sources.folder import FolderSource, read_file
from hgan.sources.open import open_source
from hgan.sources.roots import Roots
from hgan.sources.types import Photo, PhotoContent
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.qdrant_proxy import new_server
from tests.fixtures.tiny_bundle import SIZE, write_tiny_bundle

SERVER = "http://qdrant:6333/photos"
RED = "red 0.png"


@pytest.fixture(params=["folder", "server"])
def to(request, tmp_path, monkeypatch) -> Path | str:
    """An index of each engine."""
    made = new_server()
    monkeypatch.setattr("hgan.index.store.server.connect", lambda _settings: made)
    return tmp_path / "index" if request.param == "folder" else SERVER


@pytest.fixture
def writer(photos, to, bundle) -> Iterator[IndexWriter]:
    index_folder(photos, to, bundle)
    with open_writer(open_source(photos), to, bundle) as opened:
        yield opened


def upload(
    writer: IndexWriter, root: Path, path: str, tags: tuple[str, ...], seed: int = 1
) -> Entry:
    """What an upload does, without HTTP."""
    with writer.exclusive():
        save_photo(root / path, COLOURS["green"], seed=seed)
        content = FolderSource(root).read(Photo(path, 0, 0))
        encoded = writer._bundle.encode_images([content.decode(Preprocessing(SIZE)).pixels])
        return writer.add(content, encoded, tags)


def entry(writer: IndexWriter, path: str) -> Entry | None:
    return next((e for e in writer._store.entries() if e.path == path), None)


def tags(writer: IndexWriter, path: str) -> tuple[str, ...]:
    found = entry(writer, path)
    assert found is not None
    return found.user_tags


def test_tags_outlive_what_happens_to_the_file(photos, writer):
    upload(writer, photos, RED, ("mine", "été"))
    assert writer.update(writer.compare()) == IndexReport(unchanged=12)
    os.utime(photos / RED, ns=(1, 1))
    assert writer.update(writer.compare()) == IndexReport(unchanged=12)
    assert tags(writer, RED) == ("mine", "été")
    save_photo(photos / RED, COLOURS["blue"], seed=9)
    assert writer.update(writer.compare()) == IndexReport(updated=1, unchanged=11)
    assert tags(writer, RED) == ("mine", "été")
    (photos / RED).write_bytes(b"damaged")
    report = writer.update(writer.compare())
    assert (report.removed, set(report.skipped)) == (0, {RED})
    save_photo(photos / RED, COLOURS["red"])
    assert writer.update(writer.compare()).updated == 1
    assert tags(writer, RED) == ("mine", "été")
    (photos / RED).unlink()
    assert writer.update(writer.compare()) == IndexReport(removed=1, unchanged=11)
    save_photo(photos / RED, COLOURS["red"])
    assert writer.update(writer.compare()) == IndexReport(added=1, unchanged=11)
    assert tags(writer, RED) == ()


def test_tags_outlive_another_process(photos, to, bundle):
    index_folder(photos, to, bundle)
    with open_writer(open_source(photos), to, bundle) as writer:
        upload(writer, photos, RED, ("mine",))
    os.utime(photos / RED, ns=(1, 1))
    index_folder(photos, to, bundle)
    with open_index(to, bundle) as index:
        found = index.find(Query("red"), 50, where=Filter.parse(["tag=mine"]))
    assert [hit.path.name for hit in found] == [RED]


def test_what_another_process_wrote_to_a_server(photos, bundle, monkeypatch):
    made = new_server()
    monkeypatch.setattr("hgan.index.store.server.connect", lambda _settings: made)
    source = open_source(photos)
    index_folder(photos, SERVER, bundle)
    with open_writer(source, SERVER, bundle) as one, open_writer(source, SERVER, bundle) as other:
        assert one.compare().changed == other.compare().changed == {}
        changes = one.compare()
        uploaded = upload(other, photos, RED, ("mine",))
        # The first process does not know of it, and has read the file before.
        old = save_photo(photos.parent / "old.png", COLOURS["red"]).read_bytes()
        changes.changed[RED] = Photo(RED, 1, 1)
        with monkeypatch.context() as patch:
            patch.setattr(
                FolderSource, "read", lambda *_: PhotoContent(Photo(RED, len(old), 1), old)
            )
            one.update(changes)
        assert entry(one, RED) == uploaded
        # A file that is newer than what the other process stored.
        upload(other, photos, RED, ("yours",), seed=5)
        save_photo(photos / RED, COLOURS["blue"], seed=6)
        assert one.update(one.compare()).updated == 1
        assert tags(one, RED) == ("yours",)
        # One that the other process stored again is not missing.
        (photos / "blue 0.png").unlink()
        changes = one.compare()
        upload(other, photos, "blue 0.png", ("back",))
        assert one.update(changes).removed == 0
        assert tags(one, "blue 0.png") == ("back",)


def test_tags_follow_a_file_that_is_renamed(photos, writer, monkeypatch):
    upload(writer, photos, "a.png", ("mine",))
    upload(writer, photos, "b.png", ("yours",), seed=2)
    (photos / "a.png").rename(photos / "renamed.png")
    shutil.copy(photos / "b.png", photos / "copy.png")
    assert writer.update(writer.compare()) == IndexReport(added=2, removed=1, unchanged=13)
    assert tags(writer, "renamed.png") == ("mine",)
    assert (tags(writer, "b.png"), tags(writer, "copy.png")) == (("yours",), ())
    monkeypatch.setattr(watch, "SETTLE", 0.2)
    watcher = Watcher(Roots(photos), lambda: nullcontext(writer))
    watcher.look()
    (photos / "renamed.png").rename(photos / "again.png")
    while watcher.look() == IndexReport(unchanged=14):  # not settled: the old one stays so long
        assert entry(writer, "renamed.png") is not None
        time.sleep(0.05)
    assert entry(writer, "renamed.png") is None
    assert tags(writer, "again.png") == ("mine",)


def test_tags_of_older_programs(photos, writer):
    """They stored all tags as one; whose they were is seen where the bytes are the same."""
    before = entry(writer, RED)
    assert before is not None
    [point] = writer._store.fetch([before.id], local=True)
    writer._store.upsert([replace(point, entry=replace(before, file_tags=("old",)))])
    os.utime(photos / RED, ns=(1, 1))
    assert writer.update(writer.compare()) == IndexReport(unchanged=12)
    found = entry(writer, RED)
    assert found is not None
    assert (found.file_tags, found.user_tags, found.tags) == ((), ("old",), ("old",))


class Pausing:
    """A bundle that waits before it encodes photos of an update."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.config, self.preprocessing = bundle.config, bundle.preprocessing
        self.image_batch = bundle.image_batch
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def encode_images(self, pixels: list[np.ndarray], batch_size: int = 8) -> Encoded[np.ndarray]:
        if threading.current_thread().name == "update":
            self.reached.set()
            assert self.go_on.wait(60)
        return self._bundle.encode_images(pixels, batch_size)


@pytest.fixture
def pausing(bundle, writer) -> Pausing:
    writer._bundle = Pausing(bundle)
    return writer._bundle


def updating(writer: IndexWriter, pausing: Pausing) -> tuple[threading.Thread, list[IndexReport]]:
    """An update that has listed and read its photos, and stands still before it stores them."""
    reports: list[IndexReport] = []
    changes = writer.compare()
    run = threading.Thread(target=lambda: reports.append(writer.update(changes)), name="update")
    run.start()
    assert pausing.reached.wait(60)
    return run, reports


def test_an_upload_during_an_update(photos, writer, pausing):
    for path in (RED, "new.png"):
        save_photo(photos / path, COLOURS["blue"], seed=3)
    (photos / "green 0.png").unlink()
    run, reports = updating(writer, pausing)
    began = time.monotonic()
    uploaded = [
        upload(writer, photos, path, ("mine",), seed)
        for seed, path in enumerate((RED, "new.png", "green 0.png", "other.png"), 20)
    ]
    assert time.monotonic() - began < 30  # it did not wait for the update, which stands still
    assert not writer.remove("3f0d4c35-0000-0000-0000-000000000000")
    blue = entry(writer, "blue 0.png")
    assert blue is not None and writer.remove(blue.id)
    pausing.go_on.set()
    run.join(60)
    assert reports == [IndexReport(unchanged=12)]  # of those that it listed, nothing was left
    assert {e.path: e for e in writer._store.entries() if e.user_tags} == {
        e.path: e for e in uploaded
    }
    assert entry(writer, "blue 0.png") is None
    assert writer.update(writer.compare()) == IndexReport(unchanged=14)


def test_an_upload_between_listing_and_removal(photos, writer, monkeypatch):
    find = FolderSource.find

    def then_upload(self: FolderSource) -> object:
        listing = find(self)
        upload(writer, photos, "late.png", ("mine",))
        return listing

    with monkeypatch.context() as patch:
        patch.setattr(FolderSource, "find", then_upload)
        changes = writer.compare()
    assert writer.update(changes) == IndexReport(unchanged=12)
    assert tags(writer, "late.png") == ("mine",)


def test_a_removed_photo_stays_out_until_its_file_changes(photos, to, writer, bundle):
    found = entry(writer, RED)
    assert found is not None
    assert writer.remove(found.id)
    assert not writer.remove(found.id)
    assert writer.update(writer.compare()).added == 0
    assert entry(writer, RED) is None
    save_photo(photos / RED, COLOURS["blue"], seed=4)
    assert writer.update(writer.compare()).added == 1
    assert writer.remove(found.id)
    upload(writer, photos, RED, ())
    assert writer.update(writer.compare()) == IndexReport(unchanged=12)


@pytest.mark.parametrize("path", [RED, "new.png"])
def test_an_upload_that_fails_is_taken_back(photos, writer, path):
    before = {e.path: e for e in writer._store.entries()}
    old = (photos / path).read_bytes() if (photos / path).exists() else None
    status = (photos / path).stat() if old else None
    with pytest.raises(OSError, match="disk"), writer.exclusive():
        upload(writer, photos, path, ("mine",))
        raise OSError("the disk is full")
    if old is None:
        (photos / path).unlink()
    else:
        (photos / path).write_bytes(old)
        os.utime(photos / path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert {e.path: e for e in writer._store.entries()} == before
    assert writer.update(writer.compare()) == IndexReport(unchanged=12)


def test_a_store_that_fails_while_an_upload_is_taken_back(photos, writer, monkeypatch):
    """The error that is raised is the first one."""
    calls: list[str] = []

    def fails(*_args: object) -> None:
        calls.append("failed")
        raise IndexingError(f"the disk is full, {len(calls)}")

    for name in ("upsert", "delete"):
        monkeypatch.setattr(writer._store, name, fails)
    with pytest.raises(IndexingError, match="the disk is full, 1"):
        upload(writer, photos, "new.png", ())
    assert len(calls) == 2
    monkeypatch.undo()
    assert writer.update(writer.compare()).added == 1


NAMES = st.sampled_from(["a.png", "b.png", "in/c.png"])
TAGS = st.sampled_from([(), ("sea",), ("sea", "sun")])


class WriterAgainstModel(RuleBasedStateMachine):
    """Uploads, changes by hand, removals and updates; a dictionary says what must be stored."""

    @initialize()
    def start(self) -> None:
        self.stack = ExitStack()
        scratch = Path(self.stack.enter_context(TemporaryDirectory()))
        self.root = scratch / "photos"
        self.seed = 0
        save_photo(self.root / "always.png", COLOURS["red"])
        bundle = write_tiny_bundle(scratch / "bundle")
        source = FolderSource(self.root)
        self.writer = self.stack.enter_context(open_writer(source, scratch / "index", bundle))
        self.writer.update(self.writer.compare())
        self.expected: dict[str, tuple[str, ...]] = {"always.png": ()}
        self.removed: set[str] = set()

    @rule(path=NAMES, tags=TAGS)
    def upload(self, path: str, tags: tuple[str, ...]) -> None:
        self.seed += 1
        upload(self.writer, self.root, path, tags, self.seed)
        self.expected[path] = tags
        self.removed.discard(path)

    @rule(path=NAMES)
    def remove(self, path: str) -> None:
        there = self.writer.remove(Entry(path, 0, 0, "").id)
        assert there == (path in self.expected)
        if there:
            del self.expected[path]
            self.removed.add(path)

    @rule(path=NAMES, touch=st.booleans())
    def update_after_a_change(self, path: str, touch: bool) -> None:
        self.seed += 1
        if touch and (self.root / path).exists():
            os.utime(self.root / path, ns=(self.seed, self.seed))
        else:
            save_photo(self.root / path, COLOURS["blue"], seed=self.seed)
        self.removed.discard(path)  # it is another file now
        self.update()
        assert path in self.expected

    @rule(path=NAMES)
    def update_after_a_deletion(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)
        self.removed.discard(path)
        self.update()
        assert path not in self.expected

    @rule()
    def update(self) -> None:
        self.writer.update(self.writer.compare())
        files = {p.relative_to(self.root).as_posix() for p in self.root.rglob("*.png")}
        self.expected = {p: self.expected.get(p, ()) for p in files - self.removed}

    @invariant()
    def stored_is_expected(self) -> None:
        if hasattr(self, "writer"):
            stored = {e.path: e for e in self.writer._store.entries()}
            assert {path: e.user_tags for path, e in stored.items()} == self.expected
            for path, e in stored.items():
                if (self.root / path).exists():
                    _, status = read_file(self.root / path)
                    assert (e.size, e.mtime) == (status.st_size, status.st_mtime_ns)

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()


TestWriterAgainstModel = WriterAgainstModel.TestCase
TestWriterAgainstModel.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
