"""Several processes index the same photos into one collection, each its own share."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient

from hgan.cli import main
from hgan.errors import ConfigError
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.shard import WHOLE, Shard
from hgan.index.store.bucket import bucket_of
from hgan.search.searcher import open_index
from hgan.sources.folder import FolderSource
from tests.fixtures.photos import save_photo
from tests.fixtures.qdrant_process import running
from tests.fixtures.qdrant_proxy import new_server

PLACE = "http://qdrant:6333/photos"


@pytest.fixture
def _server(monkeypatch: pytest.MonkeyPatch) -> None:
    made = new_server()
    monkeypatch.setattr("hgan.index.store.server.connect", lambda _settings: made)


def test_each_photo_is_in_one_part_and_parts_are_alike() -> None:
    paths = [f"{i % 7}/ø {i}.jpg" for i in range(4000)] + ["\udcff.jpg"]
    held = [[n for n in range(1, 9) if Shard(n, 8).holds(path)] for path in paths]
    assert all(len(parts) == 1 for parts in held)
    sizes = Counter(parts[0] for parts in held)
    assert sorted(sizes) == list(range(1, 9))
    assert 400 < min(sizes.values()) <= max(sizes.values()) < 600
    assert all(WHOLE.holds(path) for path in paths)


def test_shares_stay_as_they_are() -> None:
    """Buckets are stored, so another hash would hide photos from every machine."""
    assert [bucket_of(f"{name}.jpg") for name in "abcd"] == [50106, 21586, 6405, 44104]
    assert Shard(2, 3).buckets == range(21845, 43690)


@pytest.mark.usefixtures("_server")
def test_parts_make_up_the_whole(photos: Path, bundle) -> None:
    (photos / "red/broken.jpg").write_bytes(b"no photo")
    (photos / "blue/nowhere.jpg").symlink_to("absent")
    reports = [index_folder(photos, PLACE, bundle, shard=Shard(n, 3)) for n in (1, 2, 3)]
    assert sum(report.added for report in reports) == 12
    assert max(report.added for report in reports) < 12
    skipped = [path for report in reports for path in report.skipped]
    assert sorted(skipped) == ["blue/nowhere.jpg", "red/broken.jpg"]
    assert not any(report.removed for report in reports)
    (photos / "red/broken.jpg").unlink()
    (photos / "blue/nowhere.jpg").unlink()
    assert index_folder(photos, PLACE, bundle) == IndexReport(unchanged=12)


@pytest.mark.usefixtures("_server")
def test_what_is_gone_is_dropped_by_its_own_part(photos: Path, bundle) -> None:
    index_folder(photos, PLACE, bundle)
    gone = ["red 0.png", "red/red 1.png", "blue/blue 3.png", "green/green 2.png"]
    for path in gone:
        (photos / path).unlink()
    save_photo(photos / "new.jpg", (200, 200, 0))
    total = 0
    for number in (1, 2):
        shard = Shard(number, 2)
        report = index_folder(photos, PLACE, bundle, shard=shard)
        assert report.removed == sum(shard.holds(path) for path in gone)
        assert report.added == shard.holds("new.jpg")
        total += report.removed
        with open_index(PLACE, bundle) as index:
            found = {hit.path.relative_to(photos).as_posix() for hit in index.search("red", 50)}
        assert {path for path in gone if path in found} == {
            path for path in gone if number == 1 and not shard.holds(path)
        }
    assert total == 4
    assert index_folder(photos, PLACE, bundle) == IndexReport(unchanged=9)


@pytest.mark.usefixtures("_server")
def test_part_without_photos(tmp_path: Path, bundle) -> None:
    save_photo(tmp_path / "photos/one.png", (200, 0, 0))
    reports = [index_folder(tmp_path / "photos", PLACE, bundle, shard=Shard(n, 2)) for n in (1, 2)]
    assert sorted(report.added for report in reports) == [0, 1]


@pytest.mark.slow
def test_processes_side_by_side(photos: Path, tmp_path: Path, bundle) -> None:
    """Real processes and sockets: all of them may find no collection, and one makes it."""
    with running(tmp_path / "server") as url:
        place = f"{url}/photos"
        words = ["index", str(photos), "--to", place, "--bundle", str(bundle.folder), "--part"]
        started = [
            subprocess.Popen([sys.executable, "-m", "hgan", *words, f"{n}/3"], text=True, stdout=-1)
            for n in (1, 2, 3)
        ]
        said = [process.communicate(timeout=120)[0] for process in started]
        assert [process.returncode for process in started] == [0, 0, 0], said
        assert sum(int(line.split()[0]) for line in said) == 12
        assert index_folder(photos, place, bundle) == IndexReport(unchanged=12)


@pytest.mark.parametrize("text", ["0/8", "9/8", "8", "2/", "1/0", "a/b", "1/99999", "²/8"])
def test_parts_that_are_none(text: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="2/8 for the second of eight machines"):
        Shard.parse(text)
    assert main(["index", str(photos), "--part", text]) == 2
    assert f"--part {text}" in capsys.readouterr().err


def test_part_and_estimate(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Shard.parse("2/8") == Shard(2, 8)
    assert main(["index", str(photos), "--part", "2/8", "--estimate"]) == 2
    assert "omit --part" in capsys.readouterr().err


def test_only_the_own_part_is_read_from_the_server(
    photos: Path, bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server sends, and which files are looked at, for one part of three."""
    server = new_server()
    monkeypatch.setattr("hgan.index.store.server.connect", lambda _settings: server)
    index_folder(photos, PLACE, bundle)
    sent: list[str] = []
    scroll = QdrantClient.scroll

    def counted(self: QdrantClient, *args: Any, **named: Any) -> Any:
        page, following = scroll(self, *args, **named)
        sent.extend(record.payload["path"] for record in page)
        return page, following

    monkeypatch.setattr(QdrantClient, "scroll", counted)
    shard = Shard(2, 3)
    assert index_folder(photos, PLACE, bundle, shard=shard).unchanged == len(sent)
    assert 0 < len(sent) < 12
    assert all(shard.holds(path) for path in sent)


def test_files_of_other_parts_have_no_size(photos: Path) -> None:
    """Their status is not read, which takes long on a network."""
    shard, source = Shard(2, 3), FolderSource(photos)
    part = source.part(shard.holds)
    for folder in ("", "red/", "blue/", "green/"):
        sizes = {folder + item.name: item.size for item in part.list_folder(folder)}
        assert all(
            (size > 0) == shard.holds(path) for path, size in sizes.items() if path[-4:] == ".png"
        )
    found = part.find()
    assert {photo.path for photo in found.photos} == set(filter(shard.holds, paths(source)))
    assert found.elsewhere == 12 - len(found.photos)


def paths(source: FolderSource) -> list[str]:
    return [photo.path for photo in source.find().photos]
