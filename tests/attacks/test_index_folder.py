"""The folder of an index: damaged manifests, read-only folders, full disks, and kills."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from hgan import files
from hgan.errors import ConfigError, IndexingError
from hgan.index.indexer import index_folder
from hgan.index.store import snapshot
from hgan.index.store.edge import EdgeStore
from hgan.index.store.open import read_manifest
from hgan.index.verify import verify_index
from hgan.runtime.bundle import Bundle
from hgan.search.searcher import open_index
from tests.attacks.conftest import fill


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


def test_killed_creation(photos: Path, tmp_path: Path, bundle: Bundle) -> None:
    """A temporary file of a process that no longer runs does not prevent a new index."""
    to = tmp_path / "index"
    to.mkdir()
    ended = subprocess.Popen(["true"])
    ended.wait()
    (to / f".index.json.{files._HOST}-{ended.pid}.tmp").write_bytes(b"{")
    assert index_folder(photos, to, bundle).added == 12
    assert {path.name for path in to.iterdir()} == {"index.json", "lock", "edge", "secret"}
