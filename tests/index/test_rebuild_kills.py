"""A rebuild that is killed at any moment leaves one usable index, and the next one goes on."""

import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hgan.index.indexer import index_folder
from hgan.index.rebuild import rebuild_index
from hgan.index.store.folder import open_store, read_manifest
from hgan.runtime.bundle import Bundle
from hgan.search.searcher import open_index
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import write_tiny_bundle
from tests.index.test_rebuild import tag

KILLS = 20
TAGS = {"red 0.png": ("sea",), "blue/blue 1.png": ("mine", "yours")}

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["hgan.index.rebuild", "hgan.index.rebuild_folder"])


def rebuild(index: Path, bundle: Path, kill_at: int, operations: Path) -> None:
    """Rebuild an index in this process; kill it before its n-th operation on a file or in the
    engine, or write how many there were."""
    from hgan.index.store.edge import EdgeStore

    done = 0

    def count(event: str, _arguments: object = None) -> None:
        nonlocal done
        if event.partition(".")[0] in ("open", "os", "shutil", "engine"):
            done += 1
            if done == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object, **named: object) -> object:
            count("engine")
            try:
                return function(*given, **named)
            finally:
                count("engine")

        return call

    for name in ("upsert", "flush", "optimize", "close"):
        setattr(EdgeStore, name, counted(getattr(EdgeStore, name)))
    loaded = Bundle.load(bundle)
    sys.addaudithook(count)
    rebuild_index(index, loaded)
    operations.write_text(str(done))


def run(*arguments: object) -> int:
    process = _CONTEXT.Process(target=rebuild, args=arguments)
    process.start()
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


@pytest.mark.slow
def test_kills_at_any_moment(photos: Path, tmp_path: Path, bundle: Bundle) -> None:
    for i in range(30):
        save_photo(photos / f"more {i}.png", COLOURS["green"], seed=i)
    other = Bundle.load(write_tiny_bundle(tmp_path / "other", seed=1))
    index, fresh = tmp_path / "index", {}
    for one in (bundle, other):
        fresh[one.id] = tmp_path / one.id
        index_folder(photos, fresh[one.id], one)
    shutil.copytree(fresh[bundle.id], index)
    tag(index, TAGS)
    expected = {one.id: hits(fresh[one.id]) for one in (bundle, other)}

    shutil.copytree(index, tmp_path / "trial")
    operations = tmp_path / "operations"
    assert run(tmp_path / "trial", other.folder, 0, operations) == 0
    total = int(operations.read_text())
    assert total > 3 * KILLS

    old, new, found = bundle, other, []
    for kill in range(KILLS):
        moment = 1 + kill * (total - 1) // (KILLS - 1)
        copy = shutil.copytree(index, tmp_path / f"killed {kill}")
        assert run(copy, new.folder, moment, operations) == -signal.SIGKILL
        used = read_manifest(copy).bundle
        assert used in (old.id, new.id)
        found.append(used == new.id)
        assert hits(copy) == expected[used], moment
        check_tags(copy)
        # It goes on, and is killed again in the middle of what is left.
        run(copy, new.folder, max(1, (total - moment) // 2), operations)
        assert hits(copy) == expected[read_manifest(copy).bundle]
        rebuild_index(copy, new)
        assert hits(copy) == expected[new.id]
        check_tags(copy)
        assert not list(copy.glob("generation-*/index.json"))
        shutil.rmtree(copy)
    assert found == sorted(found)  # first the old one, then the new one
    assert not found[0] and found[-1]


def hits(index: Path) -> list[tuple[str, float]]:
    with open_index(index) as opened:
        assert len(opened) == 42
        return [
            (hit.path.name, hit.score)
            for text in ("a red photo", "green snow")
            for hit in opened.search(text, 42)
        ]


def check_tags(index: Path) -> None:
    with open_store(index, read_manifest(index)) as store:
        assert {e.path: e.user_tags for e in store.entries() if e.user_tags} == TAGS
        assert all(state == "intact" for _, state in store.verify())
