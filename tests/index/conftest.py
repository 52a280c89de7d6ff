"""Store factories: every store that is named here must pass the whole of `test_store.py`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hgan.index.edge import EdgeStore
from hgan.index.store import Store
from tests.index.made import DENSE, LOCAL

OpenStore = Callable[..., Store]
"""Opens the store of this test with widths (dense, local); the second call finds what the first
left."""


def _edge(folder: Path) -> OpenStore:
    def open_store(dense: int = DENSE, local: int = LOCAL) -> Store:
        place = folder / "edge"
        make = EdgeStore.load if place.exists() else EdgeStore.create
        return make(place, dense, local)

    return open_store


@pytest.fixture(params=[_edge], ids=["edge"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    return request.param(tmp_path)
