"""A Ray cluster of two nodes, with processes of their own, and a server in another process."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hgan.errors import ConfigError, IndexingError
from hgan.index.distributed.attempts import REASON
from hgan.index.distributed.cluster import _check_address
from hgan.index.distributed.run import index_on_ray
from hgan.index.distributed.worker import Worker
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.store.contract import Point, id_of
from hgan.index.store.open import open_store, read_manifest
from hgan.runtime.bundle import Bundle
from hgan.sources.types import Photo
from tests.fixtures.photos import save_photo
from tests.fixtures.qdrant_process import free_port, start
from tests.fixtures.tiny_bundle import write_tiny_bundle

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'hgan[ray]'")
pytestmark = pytest.mark.slow

MORE = 240
"""New photos in the second state of the folder."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """The head of a cluster with one core, to which this process is connected."""
    from ray.cluster_utils import Cluster

    memory = 100 * 2**20
    made = Cluster(True, head_node_args={"num_cpus": 1, "object_store_memory": memory})
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def node(cluster: Any) -> Iterator[Any]:
    """A second node with one core."""
    added = cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    cluster.wait_for_nodes()
    yield added
    if added in cluster.list_all_nodes():
        cluster.remove_node(added)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    """A server's process, and its address as `url`."""
    port = free_port()
    process: Any = start(port, tmp_path / "server")
    process.url = f"http://127.0.0.1:{port}"
    yield process
    process.kill()
    process.wait()


def contents(place: str) -> dict[str, Point]:
    """Every point of an index by path."""
    with open_store(place, read_manifest(place)) as store:
        ids = [entry.id for entry in store.entries()]
        return {point.entry.path: point for point in store.fetch(ids, local=True)}


def begin(photos: Path, place: str, bundle: Bundle) -> None:
    """Index the photos of the fixture, two of which get a user's tag."""
    index_folder(photos, place, bundle)
    with open_store(place, read_manifest(place)) as store:
        points = store.fetch([id_of("red 0.png"), id_of("blue 0.png")], local=True)
        store.upsert([replace(p, entry=replace(p.entry, user_tags=("kept",))) for p in points])


def change(photos: Path) -> None:
    """New, changed, renamed, removed, damaged and small photos, and two of the same bytes."""
    for i in range(MORE):
        save_photo(photos / f"more/{i % 5}/{i}.png", (i, 255 - i, 90), seed=1000 + i)
    save_photo(photos / "blue 0.png", (9, 200, 9), seed=7)
    (photos / "red 0.png").rename(photos / "more/renamed.png")
    (photos / "green 0.png").unlink()
    (photos / "blue/blue 1.png").write_bytes(b"no photo")
    Image.new("RGB", (20, 20)).save(photos / "more/small.png")
    (photos / "more/copy.png").write_bytes((photos / "more/0/0.png").read_bytes())


def kill_midway(cluster: Any, node: Any, server: Any, place: str, seen: list[int]) -> None:
    """Kill a node that has a worker, when half of the photos are stored. The server is stopped
    while this waits for the worker, and during the kill, so that the work does not end before."""
    with open_store(place, read_manifest(place)) as store:

        def stop_at(count: int) -> None:
            while store.count() < count:
                time.sleep(0.02)
            seen.append(store.count())
            os.kill(server.pid, signal.SIGSTOP)

        stop_at(MORE // 4)
        while not has_worker(node):
            time.sleep(0.1)
        os.kill(server.pid, signal.SIGCONT)
        stop_at(MORE // 2)
        cluster.remove_node(node, allow_graceful=False)
        os.kill(server.pid, signal.SIGCONT)


def has_worker(node: Any) -> bool:
    """Whether Ray has started one of the workers on a node, by the title of its process."""
    raylet = node.all_processes["raylet"][0].process.pid
    listed = ["ps", "-o", "args=", "--ppid", str(raylet)]
    return "MapWorker" in subprocess.run(listed, capture_output=True, text=True, check=True).stdout


def test_a_node_is_killed_and_the_index_is_that_of_one_process(
    cluster: Any, node: Any, server: Any, photos: Path, bundle: Bundle
) -> None:
    expected, found = f"{server.url}/expected", f"{server.url}/found"
    begin(photos, expected, bundle)
    begin(photos, found, bundle)
    change(photos)
    by_one_process = index_folder(photos, expected, bundle)
    seen: list[int] = []
    killer = threading.Thread(target=kill_midway, args=(cluster, node, server, found, seen))
    killer.start()
    by_two_nodes = index_on_ray(photos, found, bundle)
    killer.join()
    assert MORE // 2 <= seen[-1] < MORE, "killed too late"
    assert by_two_nodes == by_one_process
    assert by_two_nodes.added == MORE + 2
    assert list(by_two_nodes.skipped) == ["blue/blue 1.png"]
    same(contents(found), contents(expected))
    again = index_on_ray(photos, found, bundle)
    assert (again.added, again.updated, again.removed) == (0, 0, 0)


def same(found: dict[str, Point], expected: dict[str, Point]) -> None:
    """Entries are equal, and vectors but for the last bit of float16."""
    assert {path: point.entry for path, point in found.items()} == {
        path: point.entry for path, point in expected.items()
    }
    assert found["more/renamed.png"].entry.user_tags == ("kept",)
    assert found["blue 0.png"].entry.user_tags == ("kept",)
    for path, point in expected.items():
        np.testing.assert_allclose(found[path].dense, point.dense, rtol=0, atol=1e-3)
        np.testing.assert_allclose(found[path].local, point.local, rtol=0, atol=1e-3)


class Fatal(Worker):
    """A worker whose process is killed by a photo, as when memory runs out."""

    def _index(self, photos: Sequence[Photo]) -> IndexReport:
        if any(photo.path == "green/green 2.png" for photo in photos):
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._index(photos)


def test_a_photo_that_kills_every_worker(
    cluster: Any, server: Any, photos: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work goes on without it, and it is listed; the next run stores it."""
    place = f"{server.url}/photos"
    monkeypatch.setattr("hgan.index.distributed.run.Worker", Fatal)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not have this file
    report = index_on_ray(photos, place, bundle)
    assert report.skipped == {"green/green 2.png": REASON}
    assert report.added == 11
    monkeypatch.undo()
    monkeypatch.setenv("HGAN_DEVICE", "cpu")
    assert index_on_ray(photos, place, bundle) == IndexReport(added=1, unchanged=11)


def test_the_address_of_a_cluster_is_accepted(cluster: Any) -> None:
    _check_address(cluster.address)


def test_machines_without_the_bundle_are_refused(
    cluster: Any, server: Any, photos: Path, tmp_path: Path
) -> None:
    bundle = Bundle.load(write_tiny_bundle(tmp_path / "bundle"))
    (tmp_path / "bundle").rename(tmp_path / "moved")  # as on a machine that has none
    place = f"{server.url}/photos"
    with pytest.raises(ConfigError, match=r"1 of 1 machines .*no model bundle.*mount it there"):
        index_on_ray(photos, place, bundle)
    with open_store(place, read_manifest(place)) as store:
        assert store.count() == 0


def test_a_collection_of_another_model_is_refused(
    cluster: Any, server: Any, photos: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """By the driver, before any worker starts: one collection has the vectors of one model."""
    place = f"{server.url}/photos"
    index_folder(photos, place, bundle)
    save_photo(photos / "new.png", (1, 2, 3))
    other = Bundle.load(write_tiny_bundle(tmp_path / "other", seed=9))
    with pytest.raises(IndexingError, match=r"made with bundle .*--rebuild"):
        index_on_ray(photos, place, other)
    assert len(contents(place)) == 12
