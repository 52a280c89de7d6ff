"""Store factories: every store that is named here must pass all of `test_contract.py`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hgan.index.store.contract import Store
from hgan.index.store.edge import EdgeStore
from hgan.index.store.qdrant import QdrantStore, create_collection, index_payload
from hgan.index.store.server import Server, ServerSettings
from tests.fixtures.points import DENSE, LOCAL
from tests.fixtures.qdrant_proxy import URL, LocalServer, part_of_server

OpenStore = Callable[..., Store]
"""Opens the store of this test with widths (dense, local) and `quantize`; the second call finds
what the first left."""


def _edge(folder: Path) -> Iterator[OpenStore]:
    def open_store(dense: int = DENSE, local: int = LOCAL, quantize: str | None = None) -> Store:
        place = folder / "edge"
        if place.exists():
            return EdgeStore.load(place, dense, local, quantize)
        return EdgeStore.create(place, dense, local, quantize)

    yield open_store


def _qdrant(_folder: Path) -> Iterator[OpenStore]:
    settings = ServerSettings("http://nowhere", "photos")
    client = LocalServer()
    yield lambda **made: _collection(Server(settings, client), **made)


def _server(_folder: Path) -> Iterator[OpenStore]:
    settings = ServerSettings.parse(f"{part_of_server()}/photos")
    yield lambda **made: _collection(Server(settings), **made)


def _collection(
    server: Server, dense: int = DENSE, local: int = LOCAL, quantize: str | None = None
) -> Store:
    create_collection(server, dense, local, quantize, {})
    index_payload(server)
    return QdrantStore(server, dense, local, quantize)


STORES: dict[str, Callable[[Path], Iterator[OpenStore]]] = {"edge": _edge, "qdrant": _qdrant}
if URL is not None:
    STORES["server"] = _server


@pytest.fixture(params=STORES.values(), ids=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    yield from request.param(tmp_path)
