"""A service whose Qdrant server is killed and restarted: real processes, real sockets."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from hgan.index.indexer import index_folder
from hgan.runtime.bundle import Bundle
from hgan.serve.app import create_app
from tests.fixtures.qdrant_process import free_port, start
from tests.serve.conftest import HERE


@pytest.mark.slow
def test_server_that_goes_and_comes_back(photos: Path, bundle: Bundle, tmp_path: Path) -> None:
    port = free_port()
    servers = [start(port, tmp_path / "server")]
    address = f"http://127.0.0.1:{port}/photos?attempts=2"
    try:
        index_folder(photos, address, bundle)
        with TestClient(create_app(address), base_url=HERE) as client:
            question = {"text": "a red photo", "k": 3}
            found = client.post("/v1/search", json=question).json()
            assert len(found["hits"]) == 3
            assert client.get("/ready").status_code == 200
            servers[0].kill()
            servers[0].wait()
            for answer in (client.get("/ready"), client.post("/v1/search", json=question)):
                assert answer.status_code == 503
                assert int(answer.headers["Retry-After"]) > 0
                assert str(port) not in answer.text  # addresses of the server are not published
            assert client.get("/health").status_code == 200
            servers.append(start(port, tmp_path / "server"))
            assert client.get("/ready").status_code == 200
            assert client.post("/v1/search", json=question).json() == found
    finally:
        for server in servers:
            server.kill()
            server.wait()
