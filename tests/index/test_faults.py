"""Indexing into a server that fails in parts: slow, without a shard, with writes that are applied
and not confirmed, or confirmed by half. A proxy between the two causes the failures."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from hgan.errors import IndexingError
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.shard import Shard
from hgan.index.store.contract import Point
from hgan.index.store.open import open_store, read_manifest
from hgan.runtime.bundle import Bundle
from hgan.search.searcher import open_index
from tests.fixtures.photos import save_photo
from tests.fixtures.qdrant_process import running
from tests.fixtures.qdrant_proxy import Reply, proxy
from tests.fixtures.tiny_bundle import write_tiny_bundle

pytestmark = pytest.mark.slow

Forward = Callable[[bytes], Reply]
Fault = Callable[[str, str, bytes, Forward], Reply]
"""Answers a request by method, path and content; the last argument asks the server."""
LOST = (500, b'{"status": {"error": "Service internal error: 1 of 3 shards is not available"}}')


class Trouble:
    """A server, and the address of a proxy that has a fault."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.address = ""
        self.fault: Fault = lambda _method, _path, content, forward: forward(content)
        self.writes = 0
        """Number of requests that add points."""

    def answer(self, method: str, path: str, content: bytes) -> Reply:
        def forward(content: bytes) -> Reply:
            kind = {"Content-Type": "application/json"}
            found = httpx.request(
                method, self.url + path, content=content, headers=kind, timeout=60
            )
            return found.status_code, found.content

        self.writes += adds(method, path)
        return self.fault(method, path, content, forward)


def adds(method: str, path: str) -> bool:
    return method == "PUT" and path.split("?")[0].endswith("/points")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def trouble(url: str) -> Iterator[Trouble]:
    made = Trouble(url)
    with proxied(made):
        yield made


@contextmanager
def proxied(trouble: Trouble) -> Iterator[None]:
    server = proxy(0, trouble.answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    trouble.address = f"http://127.0.0.1:{server.server_port}/{uuid4()}?timeout=2&attempts=2"
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def expected(photos: Path, tmp_path: Path, bundle: Bundle) -> dict[str, Point]:
    """What an index of the photos contains."""
    index_folder(photos, tmp_path / "expected", bundle)
    return contents(tmp_path / "expected")


def contents(place: Path | str) -> dict[str, Point]:
    """Every point of an index by path, intact."""
    with open_store(place, read_manifest(place)) as store:
        assert {state for _, state in store.verify()} <= {"intact"}
        ids = [entry.id for entry in store.entries()]
        return {point.entry.path: point for point in store.fetch(ids, local=True)}


def same(found: dict[str, Point], expected: dict[str, Point]) -> None:
    assert {path: point.entry for path, point in found.items()} == {
        path: point.entry for path, point in expected.items()
    }
    for path, point in expected.items():
        np.testing.assert_array_equal(found[path].dense, point.dense)
        np.testing.assert_array_equal(found[path].local, point.local)


def test_writes_that_are_applied_and_not_confirmed(
    trouble: Trouble, photos: Path, bundle: Bundle, expected: dict[str, Point]
) -> None:
    """The answer of every second write and removal is lost: both are sent again."""
    seen = []

    def fault(method: str, path: str, content: bytes, forward: Forward) -> Reply:
        reply = forward(content)
        if adds(method, path) or path.split("?")[0].endswith("/delete"):
            seen.append(path)
            return reply if len(seen) % 2 == 0 else None
        return reply

    trouble.fault = fault
    assert index_folder(photos, trouble.address, bundle) == IndexReport(added=12)
    assert trouble.writes == 4, "two batches, each sent twice"
    same(contents(trouble.address), expected)
    (photos / "red 0.png").unlink()
    assert index_folder(photos, trouble.address, bundle) == IndexReport(removed=1, unchanged=11)


def test_writes_that_reach_half_of_the_shards(
    trouble: Trouble, photos: Path, bundle: Bundle, expected: dict[str, Point]
) -> None:
    """One shard has stored its points, another one has not, and the server says so."""

    def fault(method: str, path: str, content: bytes, forward: Forward) -> Reply:
        if adds(method, path) and trouble.writes % 2:
            body = json.loads(content)
            body["points"] = body["points"][::2]
            forward(json.dumps(body).encode())
            return LOST
        return forward(content)

    trouble.fault = fault
    assert index_folder(photos, trouble.address, bundle) == IndexReport(added=12)
    same(contents(trouble.address), expected)


def test_half_a_write_and_then_nothing(
    trouble: Trouble, photos: Path, bundle: Bundle, expected: dict[str, Point]
) -> None:
    """Patience ends; the next run stores the rest, and keeps what was stored."""

    def fault(method: str, path: str, content: bytes, forward: Forward) -> Reply:
        if adds(method, path):
            body = json.loads(content)
            body["points"] = body["points"][:3]
            forward(json.dumps(body).encode())
            return LOST
        return forward(content)

    trouble.fault = fault
    with pytest.raises(IndexingError, match=r"1 of 3 shards is not available.*try again later"):
        index_folder(photos, f"{trouble.address}&patience=1", bundle)
    trouble.fault = lambda _method, _path, content, forward: forward(content)
    assert index_folder(photos, trouble.address, bundle) == IndexReport(added=9, unchanged=3)
    same(contents(trouble.address), expected)


def test_a_slow_server(
    trouble: Trouble, photos: Path, bundle: Bundle, expected: dict[str, Point]
) -> None:
    """Each write takes longer than `timeout` the first time; it is applied while it is repeated."""

    def fault(method: str, path: str, content: bytes, forward: Forward) -> Reply:
        if adds(method, path) and trouble.writes % 2:
            time.sleep(2.5)
        return forward(content)

    trouble.fault = fault
    assert index_folder(photos, trouble.address, bundle) == IndexReport(added=12)
    assert trouble.writes == 4
    same(contents(trouble.address), expected)


@pytest.mark.parametrize("shard", [Shard(1, 1), Shard(1, 2)])
def test_a_shard_is_lost_while_the_index_is_read(
    shard: Shard, trouble: Trouble, photos: Path, bundle: Bundle
) -> None:
    """A part of the answer must not look like an index whose other photos are new, or gone."""
    index_folder(photos, trouble.address, bundle)
    stored, scrolls = trouble.writes, []

    def fault(_method: str, path: str, content: bytes, forward: Forward) -> Reply:
        if "/scroll" in path:
            scrolls.append(path)
            if len(scrolls) > 1:
                return LOST
            content = json.dumps(json.loads(content) | {"limit": 2}).encode()  # a short page
        return forward(content)

    trouble.fault = fault
    with pytest.raises(IndexingError, match="shards is not available"):
        index_folder(photos, f"{trouble.address}&patience=1", bundle, shard=shard)
    assert len(scrolls) > 1
    assert trouble.writes == stored
    trouble.fault = lambda _method, _path, content, forward: forward(content)
    assert index_folder(photos, trouble.address, bundle) == IndexReport(unchanged=12)


def test_a_search_without_a_shard(trouble: Trouble, photos: Path, bundle: Bundle) -> None:
    """Hits are complete or there are none; afterwards they are what they were."""
    index_folder(photos, trouble.address, bundle)
    with open_index(trouble.address, bundle) as index:
        before = index.search("a red photo", 5)
        trouble.fault = lambda _method, path, content, forward: (
            LOST if "/query" in path else forward(content)
        )
        with pytest.raises(IndexingError, match=r"shards is not available.*try again later"):
            index.search("a red photo", 5)
        trouble.fault = lambda _method, _path, content, forward: forward(content)
        assert index.search("a red photo", 5) == before


def test_a_server_that_refuses_for_good_is_not_waited_for(
    trouble: Trouble, photos: Path, bundle: Bundle
) -> None:
    """A full disk: the run ends at once, and the next one goes on where it stopped."""
    full = b'{"status": {"error": "No space left on device: WAL buffer size exceeds"}}'

    def fault(method: str, path: str, content: bytes, forward: Forward) -> Reply:
        return (507, full) if adds(method, path) and trouble.writes > 1 else forward(content)

    trouble.fault = fault
    with pytest.raises(IndexingError, match="No space left on device"):
        index_folder(photos, trouble.address, bundle)
    trouble.fault = lambda _method, _path, content, forward: forward(content)
    assert index_folder(photos, trouble.address, bundle) == IndexReport(added=4, unchanged=8)


def test_two_models_at_once_fill_one_collection(photos: Path, tmp_path: Path) -> None:
    """Both find no collection; one creates it, and the other is refused before it has written."""
    bundles = [write_tiny_bundle(tmp_path / f"bundle {seed}", seed=seed) for seed in (1, 2)]
    with running(tmp_path / "server") as url:
        place = f"{url}/photos"
        words = [sys.executable, "-m", "hgan", "index", str(photos), "--to", place, "--model"]
        started = [
            subprocess.Popen([*words, str(folder)], text=True, stdout=-1, stderr=-1)
            for folder in bundles
        ]
        said = [process.communicate(timeout=120) for process in started]
        codes = [process.returncode for process in started]
        assert sorted(codes) == [0, 2], said
        winner, loser = codes.index(0), codes.index(2)
        assert "12 added" in said[winner][0]
        assert "made with bundle" in said[loser][1]
        manifest = read_manifest(place)
        assert manifest.bundle == Bundle.load(bundles[winner]).id
        assert index_folder(photos, place, bundles[winner]) == IndexReport(unchanged=12)


def test_a_newer_model_of_the_same_name(trouble: Trouble, photos: Path, tmp_path: Path) -> None:
    """A bundle is known by its content: another version in the same folder is another model."""
    folder = write_tiny_bundle(tmp_path / "bundle", seed=1)
    index_folder(photos, trouble.address, Bundle.load(folder))
    stored = trouble.writes
    write_tiny_bundle(tmp_path / "newer", seed=2)
    for file in (tmp_path / "newer").iterdir():
        file.replace(folder / file.name)
    save_photo(photos / "new.png", (1, 2, 3))
    with pytest.raises(IndexingError, match=r"made with bundle .*--rebuild"):
        index_folder(photos, trouble.address, Bundle.load(folder))
    with pytest.raises(IndexingError, match=r"made with bundle"):
        open_index(trouble.address, Bundle.load(folder))
    assert trouble.writes == stored


def test_a_collection_of_another_dimension(trouble: Trouble, photos: Path, bundle: Bundle) -> None:
    """Its metadata says that it is this index, but its vectors are others: nothing is written."""
    index_folder(photos, trouble.address, bundle)
    name = trouble.address.rpartition("/")[2].partition("?")[0]
    client = QdrantClient(url=trouble.url, check_compatibility=False)
    metadata = client.get_collection(name).config.metadata
    client.delete_collection(name)
    params = models.VectorParams(size=3, distance=models.Distance.DOT)
    client.create_collection(name, vectors_config={"dense": params}, metadata=metadata)
    stored = trouble.writes
    with pytest.raises(IndexingError, match=r"widths of its vectors .*delete the collection"):
        index_folder(photos, trouble.address, bundle)
    assert trouble.writes == stored and client.count(name).count == 0
    client.close()
