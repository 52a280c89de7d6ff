"""Indexes of several folders: made at once, extended, searched, and with a folder that is gone."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hgan
from hgan.cli import main
from hgan.errors import ConfigError, DataError, IndexingError
from hgan.index import watcher as watch
from hgan.index.backup import backup_index, restore_index
from hgan.index.describe import describe_index
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.rebuild import rebuild_index
from hgan.index.repair import repair_index
from hgan.index.shard import Shard
from hgan.index.store.manifest import FORMAT_VERSION, IndexManifest
from hgan.index.store.open import read_manifest
from hgan.index.verify import verify_index
from hgan.index.watcher import WatchEvent, watch_folder
from hgan.runtime.bundle import Bundle
from hgan.search.copies import find_copies
from hgan.search.searcher import open_index
from hgan.sources.moves import move_back, move_out
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.qdrant_proxy import new_server

Folder = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Folder:
    """Makes a folder of photos, one for each name, all of them different."""

    def made(folder: str, *names: str, colour: str = "red") -> Path:
        for name in names:
            seed = sum(map(ord, folder + name))
            save_photo(tmp_path / folder / name, COLOURS[colour], seed)
        return tmp_path / folder

    return made


@pytest.fixture
def pictures(make: Folder) -> Path:
    return make("Pictures", "a.png", "2023/b.png", "2023/c.png")


@pytest.fixture
def photos(make: Folder) -> Path:
    return make("disk/Photos", "a.png", "2019/d.png", colour="green")


def contents(to: Path | str, bundle: Bundle) -> dict[str, tuple[Path, str]]:
    """The file and the id of each photo, by path in the index."""
    with open_index(to, bundle) as index:
        return {
            index.roots.inside(hit.path): (Path(hit.path), hit.id)
            for hit in index.search("red", k=1000)
        }


def test_an_index_of_two_folders(pictures, photos, tmp_path, bundle):
    to = tmp_path / "index"
    assert hgan.index_folder([pictures, photos], to, bundle) == IndexReport(added=5)
    assert index_folder([pictures, photos], to, bundle) == IndexReport(unchanged=5)
    assert {path: file for path, (file, _) in contents(to, bundle).items()} == {
        "a.png": pictures / "a.png",
        "2023/b.png": pictures / "2023/b.png",
        "2023/c.png": pictures / "2023/c.png",
        "Photos/a.png": photos / "a.png",
        "Photos/2019/d.png": photos / "2019/d.png",
    }
    with open_index(to, bundle) as index:
        green = {hit.path for hit in index.search("red", k=9, where="folder=Photos")}
        assert green == {photos / "a.png", photos / "2019/d.png"}
        [hit] = index.search("green", k=9, where="folder=Photos/2019")
        for name in ("Photos/2019/d.png", str(photos / "2019/d.png"), hit.id):
            assert index.explain(name, "a green photo").text == "a green photo"
        with pytest.raises(DataError, match=f"index of {pictures} and {photos}"):
            index.explain(str(tmp_path / "other.png"), "a green photo")


@pytest.mark.slow
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(st.sampled_from(["a.png", "b.png", "2023/a.png"]), min_size=1),
    st.sets(st.sampled_from(["a.png", "c.png", "2023/a.png"]), min_size=1),
)
def test_two_folders_are_the_union_of_two_single_ones(tmp_path_factory, bundle, one, two):
    top = tmp_path_factory.mktemp("union")
    first, second = top / "A", top / "deep/B"
    for folder, names in ((first, one), (second, two)):
        for name in names:
            save_photo(folder / name, COLOURS["blue"], sum(map(ord, f"{folder.name}{name}")))
    found = []
    for number, folders in enumerate(([first, second], first, second)):
        index_folder(folders, top / f"index{number}", bundle)
        with open_index(top / f"index{number}", bundle) as index:
            hits = index.search("a blue photo", k=20)
            found.append({hit.path: (hit.score, hit.levels) for hit in hits})
    assert found[0] == found[1] | found[2]


def test_an_old_index_is_extended_without_encoding_its_photos(
    pictures, photos, make, tmp_path, bundle, monkeypatch
):
    to = tmp_path / "index"
    index_folder(pictures, to, bundle)
    manifest = json.loads((to / "index.json").read_text())
    assert "folders" not in manifest and manifest["format_version"] == FORMAT_VERSION
    before = contents(to, bundle)
    encoded = []
    encode = Bundle.encode_images
    monkeypatch.setattr(
        Bundle,
        "encode_images",
        lambda self, pixels, *rest: encoded.append(len(pixels)) or encode(self, pixels, *rest),
    )
    assert index_folder([photos, pictures], to, bundle) == IndexReport(added=2, unchanged=3)
    assert sum(encoded) == 2
    assert contents(to, bundle).items() >= before.items()
    third = make("other/Photos", "e.png")
    assert index_folder([pictures, photos, third], to, bundle).added == 1
    assert dict(read_manifest(to).folders or {}) == {"Photos": str(photos), "Photos 2": str(third)}
    assert contents(to, bundle)["Photos 2/e.png"][0] == third / "e.png"
    # Whatever is named, names stay.
    assert index_folder([third, photos, pictures], to, bundle) == IndexReport(unchanged=6)


def test_a_name_that_is_taken_in_the_first_folder_gets_a_number(make, photos, tmp_path, bundle):
    pictures = make("Pictures", "a.png", "photos/x.png", "Photos/y.png")
    index_folder([pictures, photos], tmp_path / "index", bundle)
    assert set(contents(tmp_path / "index", bundle)) == {
        *("a.png", "photos/x.png", "Photos/y.png", "Photos 2/a.png", "Photos 2/2019/d.png")
    }


def test_some_of_the_folders(pictures, photos, tmp_path, bundle):
    to = tmp_path / "index"
    index_folder([pictures, photos], to, bundle)
    (pictures / "a.png").unlink()
    (photos / "a.png").unlink()
    save_photo(photos / "new.png", (9, 99, 9))
    assert index_folder(photos, to, bundle) == IndexReport(added=1, removed=1, unchanged=1)
    assert "a.png" in contents(to, bundle)
    assert index_folder(str(pictures), to, bundle) == IndexReport(removed=1, unchanged=2)
    assert index_folder([pictures, photos], to, bundle) == IndexReport(unchanged=4)


@pytest.mark.parametrize("gone", [0, 1])
def test_a_folder_that_is_gone_keeps_its_photos(pictures, photos, tmp_path, bundle, gone):
    to, folders = tmp_path / "index", [pictures, photos]
    index_folder(folders, to, bundle)
    before = contents(to, bundle)
    away = folders[gone].rename(tmp_path / "away")
    save_photo(folders[1 - gone] / "new.png", (9, 99, 9))
    report = index_folder(folders, to, bundle)
    assert report.absent == {str(folders[gone]): f"{folders[gone]}: no such folder"}
    assert (report.added, report.removed) == (1, 0)
    assert contents(to, bundle).items() > before.items()
    folders[gone].mkdir()  # where a disk would be mounted
    report = index_folder(folders, to, bundle)
    assert (report.removed, list(report.absent)) == (0, [str(folders[gone])])
    folders[gone].rmdir()
    away.rename(folders[gone])
    assert index_folder(folders, to, bundle) == IndexReport(unchanged=6)
    for folder in folders:
        folder.rename(f"{folder} away")
    with pytest.raises(DataError, match="no such folder"):
        index_folder(folders, to, bundle)
    assert len(contents(to, bundle)) == 6


def test_a_rebuild_needs_all_folders(pictures, photos, tmp_path, bundle):
    to = tmp_path / "index"
    index_folder([pictures, photos], to, bundle)
    before = contents(to, bundle)
    assert rebuild_index(to, bundle, root=[photos, pictures]).report.added == 5
    assert contents(to, bundle) == before
    away = photos.rename(tmp_path / "away")
    with pytest.raises(DataError, match=f"{photos}: no such folder"):
        rebuild_index(to, bundle)
    away.rename(photos)
    assert contents(to, bundle) == before
    with pytest.raises(IndexingError, match="into another index"):
        rebuild_index(to, bundle, root=[pictures, tmp_path])


def test_verify_repair_and_backup(pictures, photos, tmp_path, bundle):
    to = tmp_path / "index"
    index_folder([pictures, photos], to, bundle)
    before = contents(to, bundle)
    assert verify_index(to).intact == 5
    assert repair_index(to, bundle).report == IndexReport(unchanged=5)
    backup_index(to, tmp_path / "file")
    manifest = restore_index(tmp_path / "file", tmp_path / "copy")
    assert manifest.folders == {"Photos": str(photos)}
    assert contents(tmp_path / "copy", bundle) == before
    assert describe_index(to)["folders"] == {"Photos": str(photos)}
    assert "folders" not in read_manifest(index_of_one(pictures, tmp_path, bundle)).as_dict()


def index_of_one(folder: Path, tmp_path: Path, bundle: Bundle) -> Path:
    index_folder(folder, tmp_path / "one", bundle)
    return tmp_path / "one"


def test_copies_are_moved_out_of_their_folders_and_back(pictures, photos, tmp_path, bundle):
    shutil.copy(pictures / "a.png", photos / "2019/copy of a long name.png")
    index_folder([pictures, photos], tmp_path / "index", bundle)
    found = find_copies(tmp_path / "index")
    [group] = [group for group in found.groups if len({copy.size for copy in group}) == 1]
    names = [copy.inside for copy in group[1:]]
    to = tmp_path / "copies"
    with pytest.raises(DataError, match="indexed again"):
        move_out(found.roots, names, photos / "copies")
    moved = move_out(found.roots, names, to)
    assert [path.relative_to(to).as_posix() for path in moved] == names
    assert not any(found.roots.path(name).exists() for name in names)
    assert move_back(to)[1] == []
    assert all(found.roots.path(name).exists() for name in names)


def test_parts_on_a_server(pictures, photos, bundle, tmp_path, monkeypatch):
    server = new_server()
    monkeypatch.setattr("hgan.index.store.server.connect", lambda _settings: server)
    to = "http://qdrant:6333/pictures"
    reports = [
        index_folder([pictures, photos], to, bundle, shard=Shard.parse(f"{n}/2")) for n in (1, 2)
    ]
    assert sum(report.added for report in reports) == 5
    assert index_folder([pictures, photos], to, bundle) == IndexReport(unchanged=5)
    assert set(contents(to, bundle)) >= {"a.png", "Photos/a.png"}
    assert index_folder(photos, to, bundle) == IndexReport(unchanged=2)


def test_a_source_that_was_opened_before_a_folder_was_added(pictures, photos, tmp_path, bundle):
    from hgan.index.indexer import index_source
    from hgan.sources.open import open_source

    to = tmp_path / "index"
    index_folder(pictures, to, bundle)
    source = open_source(pictures)
    index_folder([pictures, photos], to, bundle)
    assert index_source(source, to, bundle) == IndexReport(unchanged=3)
    assert len(contents(to, bundle)) == 5


def test_folders_that_cannot_be_together(pictures, photos, tmp_path, bundle):
    to = tmp_path / "index"
    (tmp_path / "link").symlink_to(pictures)
    (tmp_path / "texts.txt").write_text("a dog\n")
    for folders, message in (
        ([pictures, pictures / "2023"], "is in .*Pictures, and its photos"),
        ([pictures / "2023", pictures], "is in .*Pictures, and its photos"),
        ([pictures, tmp_path / "link"], "named twice"),
        ([pictures, tmp_path / "link/2023"], "is in .*Pictures"),
        ([pictures, "memory://photos"], "is an address"),
        ([pictures, tmp_path / "texts.txt"], "is a file"),
        ([], "at least one"),
    ):
        with pytest.raises(ConfigError, match=message):
            index_folder(folders, to, bundle)
    for nowhere in ([pictures, tmp_path / "nowhere"], [tmp_path / "nowhere", pictures]):
        with pytest.raises(DataError, match="nowhere: no such folder"):
            index_folder(nowhere, to, bundle)
    assert not to.exists()
    index_folder(pictures, to, bundle)
    with pytest.raises(IndexingError, match=f"add it to this one: `hgan index {pictures} {photos}"):
        index_folder(photos, to, bundle)
    index_folder([pictures, photos], to, bundle)
    (tmp_path / "third").mkdir()
    save_photo(tmp_path / "third/x.png", (1, 2, 3))
    for folders in ([tmp_path / "third"], [pictures, tmp_path / "third"]):
        with pytest.raises(IndexingError, match="name all folders to add to it"):
            index_folder(folders, to, bundle)
    with pytest.raises(ConfigError, match="is in"):
        index_folder([pictures, photos, photos / "2019"], to, bundle)
    pictures.rename(tmp_path / "away")
    with pytest.raises(DataError, match="must be here"):
        index_folder([pictures, photos, tmp_path / "third"], to, bundle)
    assert len(contents(to, bundle)) == 5


def test_no_folder_is_added_to_an_index_of_texts(pictures, photos, tmp_path, bundle):
    (tmp_path / "texts.txt").write_text("a dog\n")
    hgan.index_texts(tmp_path / "texts.txt", tmp_path / "index", bundle)
    with pytest.raises(IndexingError, match="no folder can be added"):
        index_folder([pictures, photos], tmp_path / "index", bundle)


def test_rules_hold_in_each_folder(pictures, photos, tmp_path, bundle):
    (photos / ".hganignore").write_text("/2019/\n")
    save_photo(photos / "e.png", (9, 99, 9))
    report = index_folder([pictures, photos], tmp_path / "index", bundle, exclude=["/a.png"])
    assert report.added == 3
    assert set(contents(tmp_path / "index", bundle)) == {"2023/b.png", "2023/c.png", "Photos/e.png"}
    assert report.left_out.ignored == {
        "--exclude /a.png": 2,
        "/2019/ in .hganignore": 1,
        "hidden": 1,
    }


@pytest.mark.parametrize(
    "folders",
    [{}, [], "Photos", {"": "/x"}, {"a/b": "/x"}, {"a": "x"}, {"a": 3}, {3: "/x"}, {"a": None}],
)
def test_damaged_folders_of_a_manifest(pictures, bundle, folders):
    values = IndexManifest.of(pictures, bundle).as_dict()
    with pytest.raises(IndexingError, match="damaged"):
        IndexManifest.parse({**values, "folders": folders}, "here")
    assert IndexManifest.parse(values, "here").folders is None


@pytest.mark.slow
def test_watching_several_folders(pictures, photos, tmp_path, bundle, monkeypatch):
    monkeypatch.setattr(watch, "SETTLE", 0.2)
    events: list[WatchEvent] = []
    stop = Event()
    arguments = ([pictures, photos], tmp_path / "index", bundle)
    thread = Thread(
        target=watch_folder, args=arguments, kwargs={"on_event": events.append, "stop": stop}
    )
    thread.start()

    def wait_for(true: Callable[[], bool]) -> None:
        patience = time.monotonic() + 60
        while not true():
            assert time.monotonic() < patience and thread.is_alive(), events
            time.sleep(0.05)

    def reports() -> list[IndexReport]:
        return [event.report for event in events if event.report is not None]

    try:
        wait_for(lambda: bool(events))
        save_photo(photos / "new.png", (9, 99, 9))
        wait_for(lambda: sum(report.added for report in reports()) == 6)
        away = photos.rename(tmp_path / "away")
        wait_for(lambda: any(report.absent for report in reports()))
        save_photo(away / "while away.png", (99, 9, 9))
        save_photo(pictures / "meanwhile.png", (99, 99, 9))
        wait_for(lambda: sum(report.added for report in reports()) == 7)
        away.rename(photos)
        wait_for(lambda: sum(report.added for report in reports()) == 8)
        save_photo(photos / "after that.png", (9, 99, 99))
        wait_for(lambda: sum(report.added for report in reports()) == 9)
        assert sum(report.removed for report in reports()) == 0
        assert sum(bool(report.absent) for report in reports()) == 1
    finally:
        stop.set()
        thread.join(60)
    assert len(contents(tmp_path / "index", bundle)) == 9


def test_the_command(pictures, photos, tmp_path, bundle, capsys, monkeypatch):
    to = ["--to", str(tmp_path / "index")]
    named = [str(pictures), str(photos)]
    assert main(["index", *named, *to, "--model", str(bundle.folder)]) == 0
    assert "5 added" in capsys.readouterr().out
    assert main(["index", *to]) == 0
    assert "5 unchanged" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "index")]) == 0
    assert f"{photos} as Photos" in capsys.readouterr().out
    assert main(["index", *to, "--estimate"]) == 0
    assert capsys.readouterr().out.split()[:2] == ["photos", "5"]
    photos.rename(tmp_path / "away")
    assert main(["index", *to]) == 2
    shown = capsys.readouterr()
    assert "3 unchanged" in shown.out and "0 removed" in shown.out
    assert shown.err == f"hgan: {photos}: no such folder; its photos stay in the index\n"
    assert main(["index", *named, "s3://bucket", *to]) == 2
    assert "is an address" in capsys.readouterr().err
