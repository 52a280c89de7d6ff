"""A service whose photos are not in a folder."""

import io
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from PIL import Image
from starlette.testclient import TestClient

from hgan.index.indexer import index_folder
from hgan.runtime.bundle import Bundle
from hgan.serve.app import create_app
from hgan.sources.object_store import ObjectStoreSource
from tests.serve.conftest import HERE

PLACE = "memory://served/photos"


@pytest.fixture
def client(photos: Path, bundle: Bundle, tmp_path: Path) -> Iterator[TestClient]:
    files = fsspec.filesystem("memory")
    for path in photos.rglob("*.png"):
        files.pipe_file(f"/served/photos/{path.relative_to(photos).as_posix()}", path.read_bytes())
    index_folder(PLACE, tmp_path / "elsewhere", bundle)
    app = create_app(tmp_path / "elsewhere")
    with TestClient(app, base_url=HERE, raise_server_exceptions=False) as opened:
        yield opened
    files.rm("/served", recursive=True)


def first(client: TestClient) -> dict:
    return client.post("/v1/search", json={"text": "a red photo", "k": 1}).json()["hits"][0]


def test_photos_are_shown(client: TestClient, photos: Path) -> None:
    assert client.get("/v1/status").json()["name"] == "photos"
    hit = first(client)
    assert (photos / hit["path"]).is_file()
    answer = client.get(f"/v1/items/{hit['id']}/photo")
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == (photos / hit["path"]).read_bytes()
    explained = client.post("/v1/explain", json={"id": hit["id"], "text": "a red photo"})
    assert explained.status_code == 200


def test_thumbnails_are_read_once(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"/v1/items/{first(client)['id']}/thumbnail"
    answer = client.get(place)
    assert Image.open(io.BytesIO(answer.content)).format == "JPEG"
    monkeypatch.setattr(ObjectStoreSource, "read", None)
    assert client.get(place).content == answer.content
    known = {"If-None-Match": answer.headers["etag"]}
    assert client.get(place, headers=known).status_code == 304


def test_photo_that_has_gone(client: TestClient) -> None:
    hit = first(client)
    fsspec.filesystem("memory").rm(f"/served/photos/{hit['path']}")
    for what in ("photo", "thumbnail"):
        answer = client.get(f"/v1/items/{hit['id']}/{what}")
        assert answer.status_code == 404
        assert "memory" not in answer.text
    explained = client.post("/v1/explain", json={"id": hit["id"], "text": "red"})
    assert explained.status_code == 404


def test_store_that_is_away(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    hit = first(client)

    def away(*_: object, **__: object) -> bytes:
        raise ConnectionError("cable pulled")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "cat_file", away)
    for what in ("photo", "thumbnail"):
        answer = client.get(f"/v1/items/{hit['id']}/{what}")
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers
        assert "memory" not in answer.text
    assert first(client) == hit  # searching goes on
