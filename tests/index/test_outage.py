"""Indexing into a server that is killed during work, and restarted with its data."""

import threading
import time
from pathlib import Path

import pytest

from hgan.errors import IndexingError
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.store.qdrant import QdrantStore
from hgan.search.searcher import open_index
from tests.fixtures.qdrant_process import free_port, start

AWAY = 3.0
"""Seconds; far longer than a search would be kept waiting."""


@pytest.mark.slow
def test_indexing_waits_and_goes_on(
    photos: Path, bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    port = free_port()
    servers = [start(port, tmp_path / "server")]
    upsert, batches = QdrantStore.upsert, 0

    def come_back() -> None:
        time.sleep(AWAY)
        servers.append(start(port, tmp_path / "server"))

    coming_back = threading.Thread(target=come_back)

    def killing(self: QdrantStore, points: list) -> None:
        nonlocal batches
        batches += 1
        if batches == 2:
            servers[0].kill()
            servers[0].wait()
            coming_back.start()
        upsert(self, points)

    monkeypatch.setattr(QdrantStore, "upsert", killing)
    address = f"http://127.0.0.1:{port}/photos"
    try:
        assert index_folder(photos, f"{address}?attempts=2", bundle) == IndexReport(added=12)
        assert batches == 2
        assert "waiting for it" in " ".join(capsys.readouterr().err.split())
        with open_index(address, bundle) as index:
            assert len(index) == 12
            assert {hit.path.name.split()[0] for hit in index.search("a blue photo", 4)} == {"blue"}
        assert index_folder(photos, address, bundle) == IndexReport(unchanged=12)
    finally:
        coming_back.join()
        for server in servers:
            server.kill()
            server.wait()
    with pytest.raises(IndexingError, match="is it running at"):
        open_index(f"{address}?attempts=2", bundle)
