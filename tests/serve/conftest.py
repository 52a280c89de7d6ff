"""A service over a small index, in this process and on a port."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from hgan.index.indexer import index_folder
from hgan.runtime.bundle import Bundle
from hgan.search.ids import id_of_path
from hgan.serve.app import create_app
from hgan.serve.connections import Connection
from hgan.serve.public_ids import PublicIds
from hgan.serve.settings import Settings
from tests.fixtures.photos import COLOURS, save_photo

HERE = "http://localhost"
"""The address of a `TestClient`: its own one is not an allowed host."""
KEY = "a key of the tests that is long"

Serve = Callable[..., TestClient]
"""Serves an index of the same photos as `client`; takes what `Settings` takes."""


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos, four a colour, in two levels of folders; tests leave them as they are."""
    folder = tmp_path_factory.mktemp("photos")
    for name, colour in COLOURS.items():
        for i in range(4):
            place = folder / name if i else folder
            save_photo(place / f"{name} {i}.png", colour, seed=len(name) * 10 + i)
    return folder


@pytest.fixture(scope="session")
def made(photos: Path, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the photos; tests open copies of it."""
    to = tmp_path_factory.mktemp("made") / "index"
    index_folder(photos, to, bundle)
    return to


@pytest.fixture(scope="session")
def client(made: Path) -> Iterator[TestClient]:
    """A service with the settings that are usual; tests leave it as it is."""
    copy = shutil.copytree(made, made.parent / "shared")
    with TestClient(create_app(copy), base_url=HERE) as opened:
        yield opened


@pytest.fixture
def index(made: Path, tmp_path: Path) -> Path:
    """An index of the test's own."""
    return shutil.copytree(made, tmp_path / "index")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos of the test's own."""
    for name, colour in COLOURS.items():
        save_photo(tmp_path / f"folder/{name}.png", colour)
    return tmp_path / "folder"


@pytest.fixture
def owner(
    folder: Path, tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """A service over them whose client has a key, and whose watcher does not wait for long."""
    monkeypatch.setattr("hgan.index.watcher.SETTLE", 0.2)
    index_folder(folder, tmp_path / "index", bundle)
    with TestClient(create_app(tmp_path / "index", Settings(keys=(KEY,))), base_url=HERE) as opened:
        opened.headers["x-api-key"] = KEY
        yield opened


@pytest.fixture
def serve(index: Path) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(**settings: object) -> TestClient:
            app = create_app(index, Settings(**settings))
            return stack.enter_context(TestClient(app, base_url=HERE))

        yield start


@pytest.fixture
def address(index: Path) -> Iterator[str]:
    """Of a service that listens on a port of this machine."""
    with listening(create_app(index, Settings(keys=(KEY,)))) as url:
        yield url


def public_id(app: FastAPI, path: str) -> str:
    """The id that clients of a service see for the photo with this path."""
    ids: PublicIds = app.state.service.library.ids
    return ids.public(id_of_path(path))


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """The address of an app that listens on a port of this machine."""
    config = uvicorn.Config(app, port=0, log_config=None, ws="none", http=Connection)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)
    assert not thread.is_alive()
