"""Damage to an index: it is found, named, and repaired; searching needs no write."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hgan import files
from hgan.cli import main
from hgan.errors import ConfigError, IndexingError
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.store import snapshot
from hgan.index.store.edge import EdgeStore
from hgan.index.store.open import create_store, open_store, read_manifest
from hgan.index.texts import index_texts
from hgan.index.verify import verify_index
from hgan.runtime.bundle import Bundle
from hgan.search.searcher import open_index
from tests.attacks.conftest import fill
from tests.fixtures.points import LocalServer, points

RED = "red 0.png"
SERVER = "http://qdrant:6333/photos"
LARGE = 0x7B
"""High byte of a number in float16 between 57,344 and 65,504."""


@pytest.fixture
def to(photos: Path, tmp_path: Path, bundle: Bundle) -> Path:
    index_folder(photos, tmp_path / "index", bundle)
    return tmp_path / "index"


def vectors_of(to: Path, path: str, level: str) -> bytes:
    """The first vector of a photo at a level, as the engine stores it."""
    with open_store(to, read_manifest(to)) as store:
        [key] = [entry.id for entry in store.entries() if path in (entry.path, entry.text)]
        [point] = store.fetch([key], local=True)
    return np.atleast_2d(getattr(point, level))[0].astype("<f2").tobytes()


def damage(to: Path, path: str, level: str, position: int, byte: int | None = None) -> None:
    """Change one byte of a stored vector; by default one bit of it."""
    wanted, found = vectors_of(to, path, level), 0
    for file in to.rglob("*.mmap"):
        content = file.read_bytes()
        start = content.find(wanted)
        if start >= 0:
            found += 1
            with file.open("rb+") as opened:
                opened.seek(start + position)
                opened.write(bytes([content[start + position] ^ 1 if byte is None else byte]))
    assert found == 1


def command_of(error: IndexingError) -> list[str]:
    """The words of the only command in a message, without `hgan`."""
    [command] = re.findall(r"`([^`]+)`", str(error))
    program, *words = shlex.split(command)
    assert program == "hgan"
    return words


def wrong_score(to: Path, item: str) -> None:
    damage(to, item, "dense", 1, LARGE)


def wrong_checksum(to: Path, item: str) -> None:
    damage(to, item, "dense", 0)


def items_lost(to: Path, _item: str) -> None:
    manifest = read_manifest(to)
    with EdgeStore.load(to / "edge", manifest.dense, manifest.local) as store:
        store.delete([entry.id for entry in store.entries()][:4])


def files_emptied(to: Path, _item: str) -> None:
    for path in to.rglob("segment.json"):
        path.write_bytes(b"")


def store_removed(to: Path, _item: str) -> None:
    shutil.rmtree(to / "edge")


@pytest.mark.parametrize("holds", ["photos", "texts"])
@pytest.mark.parametrize(
    "break_it", [wrong_score, wrong_checksum, items_lost, files_emptied, store_removed]
)
def test_the_message_names_the_one_command_that_repairs(
    photos: Path,
    tmp_path: Path,
    bundle: Bundle,
    break_it: Callable[[Path, str], None],
    holds: str,
) -> None:
    """The index has another bundle than the default one, and a name that a shell would split."""
    to = tmp_path / "my photos' index"
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"a red photo {i}\n" for i in range(12)))
    index_texts(texts, to, bundle) if holds == "texts" else index_folder(photos, to, bundle)
    with open_index(to) as index:
        before = index.search("a red photo", 12)
    secret = (to / "secret").read_bytes()
    break_it(to, "a red photo 3" if holds == "texts" else RED)
    with pytest.raises(IndexingError) as caught, open_index(to) as index:
        index.search("a red photo", 12)
    assert "damaged" in str(caught.value)
    assert main(command_of(caught.value)) == 0
    with open_index(to) as index:
        assert index.search("a red photo", 12) == before
    assert verify_index(to).intact == 12
    assert (to / "secret").read_bytes() == secret


def test_a_score_that_cannot_be(photos: Path, to: Path, bundle: Bundle) -> None:
    damage(to, RED, "dense", 1, LARGE)
    with open_index(to, bundle) as index, pytest.raises(IndexingError) as caught:
        index.search("a red photo")
    assert str(to) in str(caught.value)
    assert "damaged" in str(caught.value)


def test_a_local_score_that_cannot_be(photos: Path, to: Path, bundle: Bundle) -> None:
    damage(to, RED, "local", 1, LARGE)
    with open_index(to, bundle) as index, pytest.raises(IndexingError, match="level local"):
        index.search("a red photo")


@pytest.mark.parametrize("level", ["dense", "local"])
@pytest.mark.parametrize("position", [0, 9])
def test_one_bit_is_found_and_repaired(
    photos: Path,
    to: Path,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    level: str,
    position: int,
) -> None:
    with open_index(to, bundle) as index:
        before = index.search("a red photo", 12)
    damage(to, RED, level, position)
    command = ["index", str(photos), "--to", str(to), "--verify"]
    assert main(command) == 1
    output = capsys.readouterr()
    assert "11 intact, 1 damaged, 0 missing, 0 without checksums" in output.out
    assert f"damaged {RED}\n" in output.err
    encoded, encode = [], Bundle.encode_images

    def counted(self: Bundle, pixels: Any, *more: Any) -> Any:
        encoded.append(len(pixels))
        return encode(self, pixels, *more)

    with monkeypatch.context() as patch:
        patch.setattr(Bundle, "encode_images", counted)
        assert index_folder(photos, to, bundle) == IndexReport(updated=1, unchanged=11)
    assert encoded == [1]
    assert main(command) == 0
    with open_index(to, bundle) as index:
        assert index.search("a red photo", 12) == before


def test_a_damaged_hit_is_not_returned(photos: Path, to: Path, bundle: Bundle) -> None:
    """A bit that hardly changes the score, and would never be noticed."""
    damage(to, RED, "dense", 0)
    with open_index(to, bundle) as index, pytest.raises(IndexingError, match=RED):
        index.search("a red photo", 12)


def test_damaged_vectors_are_not_copied(photos: Path, to: Path, bundle: Bundle) -> None:
    damage(to, RED, "dense", 0)
    (photos / "copy.png").write_bytes((photos / RED).read_bytes())
    assert index_folder(photos, to, bundle).added == 1
    assert verify_index(to).damaged == [RED]


def test_damaged_texts(tmp_path: Path, bundle: Bundle) -> None:
    file, to = tmp_path / "texts.txt", tmp_path / "index"
    file.write_text("a red photo\ntwo blue dogs\ngreen snow\n")
    index_texts(file, to, bundle)
    damage(to, "two blue dogs", "local", 0)
    assert verify_index(to).damaged == ["two blue dogs"]
    assert index_texts(file, to, bundle) == IndexReport(updated=1, unchanged=2)
    assert verify_index(to).good


def test_damage_on_a_server(photos: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from qdrant_client import models

    made = LocalServer()
    monkeypatch.setattr("hgan.index.store.server.connect", lambda _settings: made)
    index_folder(photos, SERVER, bundle)
    assert verify_index(SERVER).intact == 12
    [record] = made.scroll("photos", limit=1, with_payload=True, with_vectors=True)[0]
    assert isinstance(record.vector, dict)
    assert record.payload is not None
    dense = record.vector["dense"]
    assert isinstance(dense, list)
    wrong: Any = {"dense": [819.6, *dense[1:]]}
    made.update_vectors("photos", [models.PointVectors(id=record.id, vector=wrong)])
    with open_index(SERVER, bundle) as index, pytest.raises(IndexingError, match="damaged"):
        index.search("a red photo", 12)
    assert verify_index(SERVER).damaged == [record.payload["path"]]
    assert index_folder(photos, SERVER, bundle) == IndexReport(updated=1, unchanged=11)
    assert verify_index(SERVER).good


def test_items_that_are_lost(photos: Path, to: Path, bundle: Bundle) -> None:
    assert read_manifest(to).points == 12
    items_lost(to, "")
    with pytest.raises(IndexingError, match="8 items instead of 12"):
        open_index(to, bundle)
    assert verify_index(to).missing == 4
    assert index_folder(photos, to, bundle) == IndexReport(added=4, unchanged=8)
    with open_index(to, bundle) as index:
        assert len(index) == 12


def test_the_count_is_unknown_while_the_index_changes(tmp_path: Path) -> None:
    from tests.index.store.test_collection import MANIFEST

    to = tmp_path / "index"
    for expected in (5, 7):
        with create_store(to, MANIFEST) as store:
            store.upsert(points(expected))
            assert read_manifest(to).points is None
        assert read_manifest(to).points == expected
    with open_store(to, read_manifest(to)) as store:
        assert read_manifest(to).points == 7
        store.delete([points(1)[0].entry.id])
    assert read_manifest(to).points == 6


@pytest.mark.parametrize(
    "change",
    [
        {"dense": 99_999},
        {"dense": 29},
        {"dense": True},
        {"dense": float("nan")},
        {"local": 1e3},
        {"local": -1},
        {"local": 9},
        {"quantize": "int4"},
        {"quantize": ["int8"]},
        {"holds": 7},
        {"regions": 0},
        {"points": -1},
        {"points": "12"},
        {"root": ""},
        {"root": None},
        {"bundle": 5},
        {"bundle_path": 3},
        {"bundle_path": "/a\0b"},
        {"root": "/a\ud800"},
        {"format_version": 0},
        {"format_version": "4"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_edited_manifest(photos: Path, to: Path, bundle: Bundle, change: dict[str, object]) -> None:
    file = to / "index.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    for use in (lambda: open_index(to, bundle), lambda: index_folder(photos, to, bundle)):
        with pytest.raises(IndexingError, match=f"{to}.*damaged"):
            use()


def test_a_manifest_that_is_nested_too_deeply(to: Path) -> None:
    (to / "index.json").write_text("[" * 100_000)
    with pytest.raises(IndexingError, match=r"index\.json: damaged \(nested too deeply\)"):
        read_manifest(to)


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are always Unicode")
def test_a_bundle_in_a_folder_whose_name_is_not_utf8(
    photos: Path, tmp_path: Path, bundle: Bundle
) -> None:
    place = tmp_path / os.fsdecode(b"bundle-\xff")
    shutil.copytree(bundle.folder, place)
    with pytest.raises(ConfigError, match="cannot store these names"):
        index_folder(photos, tmp_path / "new", place)
    assert not (tmp_path / "new").exists()


def test_read_only_index(
    photos: Path, disk: Path, tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = disk / "index"
    index_folder(photos, to, bundle)
    with open_index(to, bundle) as index:
        expected = index.search("a red photo")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    ended = subprocess.Popen(["true"])
    ended.wait()
    (temporary / f"hgan-index-{files._HOST}-{ended.pid}.left").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with open_index(to, bundle) as index, open_index(to, bundle) as other:
        assert index.search("a red photo") == other.search("a red photo") == expected
        assert len(list(temporary.iterdir())) == 2
        with pytest.raises(IndexingError, match="cannot be changed, because it is read-only"):
            index._store.delete([expected[0].id])
        index._store.optimize()
    assert list(temporary.iterdir()) == []
    assert verify_index(to).intact == 12
    with pytest.raises(IndexingError, match="cannot be written"):
        index_folder(photos, to, bundle)


def test_full_disk(
    photos: Path, disk: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search uses a temporary copy; without space for it, there is an error and no bus error."""
    to = disk / "index"
    index_folder(photos, to, bundle)
    with open_index(to, bundle) as index:
        expected = index.search("a red photo")
    fill(disk, 2 * 2**20)
    with open_index(to, bundle) as index:
        assert index.search("a red photo") == expected
    with pytest.raises(IndexingError, match="disk is full"):
        index_folder(photos, to, bundle)
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    with pytest.raises(IndexingError, match=r"disk is full .* no space for a temporary copy"):
        open_index(to, bundle)


def test_space_is_checked_before_a_store_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EdgeStore.create(tmp_path / "edge", 4, 0):
        pass
    monkeypatch.setattr("hgan.index.store.edge.OPEN_SPACE", 2**62)
    with pytest.raises(IndexingError, match="disk is full"):
        EdgeStore.load(tmp_path / "edge", 4, 0)


def test_copies_keep_holes_and_contents(tmp_path: Path) -> None:
    source, rng = tmp_path / "source", np.random.default_rng(0)
    with source.open("wb") as file:
        file.truncate(2**26)
        for position in (0, 2**20 + 5, 2**25 - 3):
            file.seek(position)
            file.write(rng.bytes(5000))
    snapshot._copy_sparse(str(source), str(tmp_path / "target"))
    (tmp_path / "empty").touch()
    snapshot._copy_sparse(str(tmp_path / "empty"), str(tmp_path / "copy"))
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert (tmp_path / "target").stat().st_blocks <= source.stat().st_blocks
    assert (tmp_path / "target").stat().st_mtime_ns == source.stat().st_mtime_ns
    assert (tmp_path / "copy").read_bytes() == b""


@pytest.mark.parametrize("after", ["search", "rescore"])
@pytest.mark.parametrize("candidates", [None, 8])
def test_as_many_hits_as_asked_while_others_delete(
    to: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, after: str, candidates: int | None
) -> None:
    with open_index(to, bundle) as index:
        expected = [hit.id for hit in index.search("a red photo", 12)]
        store, method, left = index._store, getattr(index._store, after), [expected[:3]]

        def deleting(*given: Any) -> Any:
            answer = method(*given)
            if left:
                store.delete(left.pop())
            return answer

        monkeypatch.setattr(store, after, deleting)
        hits = index.search("a red photo", 8, candidates=candidates)
        assert not left
        assert [hit.id for hit in hits] == expected[3:11]


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("after", ["search", "rescore"])
def test_no_score_is_of_two_photos_while_others_replace(
    to: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, after: str, fold: bool
) -> None:
    """The levels are scored one after the other; a photo may be replaced in between."""
    with open_index(to, bundle) as index:
        before = {hit.id: hit.score for hit in index.search("a red photo", 12)}
        store, method = index._store, getattr(index._store, after)
        first, *_, last = store.fetch(list(before), local=True)
        exchanged = [replace(last, entry=first.entry), replace(first, entry=last.entry)]
        left = [exchanged]

        def replacing(*given: Any) -> Any:
            answer = method(*given)
            if left:
                store.upsert(left.pop())
            return answer

        monkeypatch.setattr(store, after, replacing)
        found = {hit.id: hit.score for hit in index.search("a red photo", 12, fold=fold)}
        assert not left
        expected = before | {
            first.entry.id: before[last.entry.id],
            last.entry.id: before[first.entry.id],
        }
        assert found == pytest.approx({key: expected[key] for key in found}, abs=1e-4)
        assert len(found) == 12 or fold


def test_killed_creation(photos: Path, tmp_path: Path, bundle: Bundle) -> None:
    """A temporary file of a process that no longer runs does not prevent a new index."""
    to = tmp_path / "index"
    to.mkdir()
    ended = subprocess.Popen(["true"])
    ended.wait()
    (to / f".index.json.{files._HOST}-{ended.pid}.tmp").write_bytes(b"{")
    assert index_folder(photos, to, bundle).added == 12
    assert {path.name for path in to.iterdir()} == {"index.json", "lock", "edge", "secret"}
