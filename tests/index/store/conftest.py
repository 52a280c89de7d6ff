"""Store factories: every store that is named here must pass all of `test_contract.py`."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from hgan.index.store.contract import Store
from hgan.index.store.edge import EdgeStore
from hgan.index.store.qdrant import QdrantStore, create_collection, index_payload
from hgan.index.store.server import Server, ServerSettings, connect
from tests.fixtures.points import DENSE, LOCAL, LocalServer

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
    settings = ServerSettings.parse(f"{os.environ['HGAN_QDRANT_URL']}/hgan-test-{uuid4()}")
    yield lambda **made: _collection(Server(settings), **made)
    connect(settings).delete_collection(settings.collection)


def _collection(
    server: Server, dense: int = DENSE, local: int = LOCAL, quantize: str | None = None
) -> Store:
    create_collection(server, dense, local, quantize, {})
    index_payload(server)
    return QdrantStore(server, dense, local, quantize)


STORES: dict[str, Callable[[Path], Iterator[OpenStore]]] = {"edge": _edge, "qdrant": _qdrant}
if "HGAN_QDRANT_URL" in os.environ:  # such as http://localhost:6333
    STORES["server"] = _server


@pytest.fixture(params=STORES.values(), ids=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    yield from request.param(tmp_path)
