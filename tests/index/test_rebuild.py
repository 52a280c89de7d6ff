"""An index that is built anew: the old one serves meanwhile, and what users added is kept."""

import shutil
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hgan.cli import main
from hgan.errors import BundleError, ConfigError, DataError, IndexingError
from hgan.index.indexer import IndexReport, index_folder, open_writer
from hgan.index.rebuild import rebuild_index
from hgan.index.store import folder as folders
from hgan.index.store.contract import Entry, ReplacedError
from hgan.index.store.folder import open_store, read_manifest
from hgan.index.texts import index_texts
from hgan.index.writer import IndexWriter
from hgan.runtime.bundle import Bundle
from hgan.search.searcher import open_index
from hgan.sources.open import open_source
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.load(write_tiny_bundle(tmp_path_factory.mktemp("other"), seed=1))


@pytest.fixture
def index(photos: Path, tmp_path: Path, bundle: Bundle) -> Path:
    index_folder(photos, tmp_path / "index", bundle)
    return tmp_path / "index"


def entries(index: Path) -> dict[str, Entry]:
    with open_store(index, read_manifest(index)) as store:
        return {entry.path: entry for entry in store.entries()}


def tag(index: Path, tags: dict[str, tuple[str, ...]]) -> None:
    """Add user tags to photos, as the service does for uploads."""
    with open_store(index, read_manifest(index)) as store:
        stored = {entry.path: entry.id for entry in store.entries()}
        for point in store.fetch([stored[path] for path in tags], local=True):
            entry = replace(point.entry, user_tags=tags[point.entry.path])
            store.upsert([replace(point, entry=entry)])


def same_hits(index: Path, fresh: Path, bundle: Bundle) -> None:
    with open_index(index) as found, open_index(fresh, bundle) as expected:
        assert found.bundle.id == bundle.id
        for text in ("a red photo", "two blue dogs in the green snow"):
            assert found.search(text, 20) == expected.search(text, 20)


def test_the_new_index_is_that_of_the_new_model(index, photos, tmp_path, bundle, other):
    index_folder(photos, tmp_path / "fresh", other)
    assert rebuild_index(index, other).report == IndexReport(added=12)
    same_hits(index, tmp_path / "fresh", other)
    assert read_manifest(index).generation == 1
    assert {path.name for path in index.iterdir()} == {
        "index.json", "lock", "secret", "rebuild", "generation-1",
    }  # fmt: skip
    assert {path.name for path in (index / "generation-1").iterdir()} == {"edge"}
    # It is an index like any other.
    save_photo(photos / "new.png", COLOURS["red"], seed=9)
    assert index_folder(photos, index) == IndexReport(added=1, unchanged=12)
    with pytest.raises(IndexingError, match="made with bundle"):
        index_folder(photos, index, bundle)


def test_settings_are_kept_unless_they_are_given(photos, tmp_path, bundle):
    to = tmp_path / "index"
    index_folder(photos, to, bundle, "int8", regions=1, exclude=["blue*"])
    secret = (to / "secret").read_bytes()
    rebuild_index(to)
    kept = read_manifest(to)
    assert (kept.quantize, kept.regions, kept.exclude) == ("int8", 1, ("blue*",))
    assert (kept.generation, kept.points, kept.bundle) == (1, 8, bundle.id)
    assert (to / "secret").read_bytes() == secret  # links to photos stay valid
    rebuild_index(to, quantize="none", exclude=[])
    changed = read_manifest(to)
    assert (changed.quantize, changed.regions, changed.exclude) == (None, 1, ())
    assert changed.points == 12


def test_user_tags_are_carried_over(index, photos, other):
    tag(index, {"red 0.png": ("sea",), "red/red 1.png": ("mine", "yours"), "blue 0.png": ("x",)})
    (photos / "red/red 1.png").rename(photos / "moved.png")
    save_photo(photos / "blue 0.png", COLOURS["blue"], seed=99)
    rebuild_index(index, other)
    tags = {path: entry.user_tags for path, entry in entries(index).items() if entry.user_tags}
    assert tags == {"red 0.png": ("sea",), "moved.png": ("mine", "yours"), "blue 0.png": ("x",)}


def test_tags_that_an_older_version_stored_with_those_of_the_file(index, other):
    with open_store(index, read_manifest(index)) as store:
        [point] = [p for p in store.fetch([e.id for e in store.entries()], local=True)
                   if p.entry.path == "red 0.png"]  # fmt: skip
        store.upsert([replace(point, entry=replace(point.entry, file_tags=("old",)))])
    rebuild_index(index, other)
    assert entries(index)["red 0.png"].tags == ("old",)


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_tags_of_a_photo_that_cannot_be_read_now(index, photos, other, quantize):
    tag(index, {"red 0.png": ("sea",)})
    whole = (photos / "red 0.png").read_bytes()
    (photos / "red 0.png").write_bytes(b"")
    (photos / "blue 0.png").write_bytes(b"")
    report = rebuild_index(index, other, quantize).report
    assert (report.added, set(report.skipped)) == (10, {"red 0.png", "blue 0.png"})
    with open_index(index) as opened:
        hits = {hit.path.name: hit.score for hit in opened.search("a red photo", 20)}
        assert hits["red 0.png"] == pytest.approx(0, abs=1e-3)
        assert np.isfinite(list(hits.values())).all()
    (photos / "red 0.png").write_bytes(whole)
    again = index_folder(photos, index)
    assert (again.updated, again.unchanged, set(again.skipped)) == (1, 10, {"blue 0.png"})
    stored = entries(index)["red 0.png"]
    assert (stored.user_tags, stored.damaged) == (("sea",), False)


def test_texts(tmp_path, bundle, other):
    file, to = tmp_path / "texts.txt", tmp_path / "index"
    file.write_text("a red dog\nthe blue snow\n")
    index_texts(file, to, bundle)
    assert rebuild_index(to, other).report == IndexReport(added=2)
    index_texts(file, tmp_path / "fresh", other)
    same_hits(to, tmp_path / "fresh", other)


def test_bad_input_changes_nothing(index, photos, tmp_path, bundle, other):
    before = sorted(path.name for path in index.iterdir())
    with pytest.raises(BundleError):
        rebuild_index(index, tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="regions cannot be 5"):
        rebuild_index(index, regions=5)
    with pytest.raises(ConfigError, match="--exclude"):
        rebuild_index(index, exclude=["!"])
    with pytest.raises(IndexingError, match="no index here"):
        rebuild_index(tmp_path / "none", other)
    shutil.move(photos, tmp_path / "elsewhere")
    with pytest.raises(DataError, match="no such folder"):
        rebuild_index(index, other)
    assert {*before, "rebuild"} == {path.name for path in index.iterdir()}
    shutil.move(tmp_path / "elsewhere", photos)
    assert index_folder(photos, index, bundle) == IndexReport(unchanged=12)


def stop_after(monkeypatch: pytest.MonkeyPatch, photos: int) -> None:
    """Let the next update fail once this many photos are stored."""
    put, stored = IndexWriter.put, 0

    def counted(writer, points, *rest):
        nonlocal stored
        put(writer, points, *rest)
        stored += len(points)
        if stored >= photos:
            raise KeyboardInterrupt

    monkeypatch.setattr(IndexWriter, "put", counted)


def test_an_interrupted_rebuild_goes_on(index, photos, bundle, other, monkeypatch):
    for i in range(40):
        save_photo(photos / f"more {i}.png", COLOURS["red"], seed=i)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(patch, 10)
        rebuild_index(index, other)
    assert len(entries(index)) == 12  # the old one is in use, and can be changed
    assert index_folder(photos, index, bundle) == IndexReport(added=40, unchanged=12)
    with pytest.raises(IndexingError, match="was interrupted; continue it with the same options"):
        rebuild_index(index, other, "int8")
    with pytest.raises(IndexingError, match="continue it with the same options, or remove"):
        rebuild_index(index)
    report = rebuild_index(index, other).report
    assert report.unchanged >= 10
    assert report.added + report.unchanged == 52
    assert read_manifest(index).bundle == other.id


@pytest.mark.slow
def test_a_rebuild_that_was_whole_is_finished_first(index, bundle, other, monkeypatch):
    """Killed while it waited for a service; then somebody wants yet another one."""
    for wanted, generation in ((other, 1), (bundle, 3)):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("hgan.index.rebuild_folder.switch", interrupted)
            rebuild_index(index, other)
        report = rebuild_index(index, wanted).report
        assert report == IndexReport(added=0 if wanted is other else 12)
        assert (read_manifest(index).generation, read_manifest(index).bundle) == (
            generation, wanted.id,
        )  # fmt: skip


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_two_rebuilds_at_once(index, other):
    code = """
        import sys
        from pathlib import Path
        from hgan.errors import HganError
        from hgan.index.rebuild import rebuild_index
        try:
            rebuild_index(sys.argv[1], Path(sys.argv[2]))
        except HganError as error:
            sys.exit(str(error))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(index), str(other.folder)]
    with folders.rebuilding(index):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "another process is rebuilding this index" in done.stderr
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    # The second one is refused, or has begun when the first had ended.
    assert all(text == "" or "another process is rebuilding" in text for text in said)
    assert any(process.returncode == 0 for process in both)
    assert read_manifest(index).bundle == other.id
    assert len(entries(index)) == 12


def test_repair_waits_for_a_rebuild(index):
    with folders.rebuilding(index), pytest.raises(IndexingError, match="is rebuilding"):
        folders.discard_store(index)
    assert len(entries(index)) == 12


def test_an_index_that_another_process_has_open_is_waited_for(index, other, monkeypatch):
    monkeypatch.setattr(folders, "LOCK_WAIT", 0.1)
    told: list[str] = []
    with open_index(index) as opened:
        rebuilding = threading.Thread(target=rebuild_index, args=(index, other),
                                      kwargs={"waiting": told.append})  # fmt: skip
        rebuilding.start()
        while not told:
            assert opened.search("red", 3)
        assert read_manifest(index).generation == 0
    rebuilding.join(60)
    assert read_manifest(index).bundle == other.id
    [message] = told
    assert "waiting for the process that has the old one open" in message


def test_a_search_between_manifest_and_store(index, other, monkeypatch):
    """The generation that the manifest named is gone when the store is opened."""
    before = read_manifest(index)
    rebuild_index(index, other)
    with pytest.raises(ReplacedError, match="has just been replaced"), open_store(index, before):
        pass
    manifests = iter([before])
    monkeypatch.setattr(
        "hgan.search.searcher.read_manifest", lambda place: next(manifests, read_manifest(place))
    )
    with open_index(index) as opened:
        assert opened.bundle.id == other.id


def test_a_store_of_the_old_generation_cannot_spoil_the_new_manifest(index):
    """It is closed after the switch, as in a service, and has counted its own photos."""
    manifest = read_manifest(index)
    new = replace(manifest, generation=1, points=7)
    with open_store(index, manifest) as store:
        store.delete([next(store.entries()).id])
        folders.use_generation(index, new)
    assert read_manifest(index) == new


def test_an_old_index_that_the_engine_cannot_read(index, other):
    for file in (index / "edge/segments").rglob("*.json"):
        file.write_text("{")
    result = rebuild_index(index, other)
    assert result.lost
    assert result.report.added == 12
    assert len(entries(index)) == 12


def test_a_repaired_index_starts_again(index, photos, other, bundle):
    rebuild_index(index, other)
    folders.discard_store(index)
    assert index_folder(photos, index, bundle) == IndexReport(added=12)
    assert read_manifest(index).generation == 0
    assert not list(index.glob("generation-*"))


def test_what_a_kill_has_left_is_removed(index, photos, other):
    shutil.copytree(index / "edge", index.parent / "edge")
    rebuild_index(index, other)
    shutil.move(index.parent / "edge", index / "edge")  # as after a kill before it was removed
    (index / "generation-1/ready").write_text("{}")
    assert index_folder(photos, index) == IndexReport(unchanged=12)
    assert not (index / "edge").exists()
    assert {path.name for path in (index / "generation-1").iterdir()} == {"edge"}


def test_photos_that_come_while_the_new_index_is_filled(index, photos, other, monkeypatch):
    from hgan.index import rebuild_folder

    set_ready = rebuild_folder.set_ready

    def later(place: Path) -> None:
        save_photo(photos / "late.png", COLOURS["green"], seed=5)
        (photos / "red 0.png").unlink()
        tag(index, {"blue 0.png": ("late",)})
        set_ready(place)

    monkeypatch.setattr(rebuild_folder, "set_ready", later)
    rebuild_index(index, other)
    stored = entries(index)
    assert "late.png" in stored and "red 0.png" not in stored
    assert stored["blue 0.png"].user_tags == ("late",)


def test_writers_of_a_replaced_generation_refuse(index, photos, bundle):
    source = open_source(photos)
    with open_writer(source, index, bundle) as writer:
        changes = writer.compare()
        writer.end()
        uses = (
            lambda: writer.remove(next(iter(entries_of(writer))).id),
            lambda: writer.update(changes),
            lambda: writer.exclusive().__enter__(),
        )
        for use in uses:
            with pytest.raises(ReplacedError):
                use()
    assert len(entries(index)) == 12


def entries_of(writer: IndexWriter) -> list[Entry]:
    return list(writer._store.entries())


def test_by_command(index, photos, other, capsys):
    command = ["index", "--to", str(index), "--rebuild"]
    for options, reason in (
        (["--watch"], "omit --watch"),
        (["--part", "1/2"], "omit --part"),
        (["--regions", "5"], "regions cannot be 5"),
        ([str(photos / "red")], f"contains the photos of {photos}"),
    ):
        assert main([*command, *options]) == 2
        assert reason in capsys.readouterr().err
    assert read_manifest(index).generation == 0
    assert main([*command, str(photos), "--model", str(other.folder), "--quantize", "int8"]) == 0
    assert capsys.readouterr().out.startswith("12 added, ")
    found = read_manifest(index)
    assert (found.generation, found.bundle, found.quantize) == (1, other.id, "int8")
    assert main([*command, "--quantize", "none"]) == 0
    assert read_manifest(index).quantize is None
