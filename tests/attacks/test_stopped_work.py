"""Work of a service that ends early, by a timeout or on a full disk, changes nothing by halves."""
# ruff: noqa: F401, F811 - fixtures of the service are imported

import errno
import shutil
import time
from tempfile import SpooledTemporaryFile

import pytest
from starlette.testclient import TestClient

from hgan.errors import IndexingError
from hgan.index.indexer import index_folder
from hgan.serve.app import create_app
from hgan.serve.settings import Settings
from tests.serve.conftest import HERE, KEY, address, client, index, made, photos, public_id, serve

RED = "red 0.png"
FORM = {"photo": ("a.png", b"x" * 3_000_000)}


def test_work_stops_after_a_timeout(serve, monkeypatch):
    client = serve(time_limit=0.3)
    library = client.app.state.service.library
    search = library._store.search
    done = []

    def slow(*args, **more):
        time.sleep(0.2)
        done.append(1)
        return search(*args, **more)

    monkeypatch.setattr(library._store, "search", slow)
    asked = {"queries": [{"text": "red"}] * 32}
    assert client.post("/v1/search/batch", json=asked).status_code == 504
    patience = time.monotonic() + 20
    while client.app.state.service.texts.inside:
        assert time.monotonic() < patience
        time.sleep(0.02)
    assert 1 <= len(done) < 16  # some of 32


def test_an_upload_that_was_answered_with_an_error_is_not_stored(photos, bundle, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "own")
    index_folder(folder, tmp_path / "index", bundle)
    app = create_app(tmp_path / "index", Settings(keys=(KEY,), time_limit=0.3))
    with TestClient(app, base_url=HERE) as client:
        writer = app.state.service.library.writer
        with writer._lock:  # another upload is being written
            files = {"photo": (photos / RED).read_bytes()}
            data = {"path": "new.png"}
            headers = {"x-api-key": KEY}
            late = client.post("/v1/items", files=files, data=data, headers=headers)
            assert late.status_code == 504
        while app.state.service.photos.inside:
            time.sleep(0.02)
        assert not (folder / "new.png").exists()
        assert client.get("/v1/status").json()["photos"] == 12


@pytest.mark.parametrize("method", ["upsert", "delete"])
def test_a_change_that_has_begun_is_answered_when_it_is_done(
    photos, bundle, tmp_path, monkeypatch, method
):
    folder = shutil.copytree(photos, tmp_path / "own")
    index_folder(folder, tmp_path / "index", bundle)
    app = create_app(tmp_path / "index", Settings(keys=(KEY,), time_limit=0.3))
    with TestClient(app, base_url=HERE, headers={"x-api-key": KEY}) as client:
        store = app.state.service.library._store
        change = getattr(store, method)

        def slow(*given):
            time.sleep(1.0)
            change(*given)

        monkeypatch.setattr(store, method, slow)
        if method == "upsert":
            files = {"photo": (photos / RED).read_bytes()}
            answer = client.post("/v1/items", files=files, data={"path": "new.png"})
            assert answer.status_code == 201
            assert (folder / "new.png").exists()
            assert client.get(f"/v1/items/{answer.json()['id']}").status_code == 200
        else:
            item = f"/v1/items/{public_id(app, RED)}"
            assert client.delete(item).status_code == 204
            assert client.get(item).status_code == 404


def test_a_removal_that_was_answered_with_an_error_does_not_happen(photos, bundle, tmp_path):
    index_folder(photos, tmp_path / "index", bundle)
    app = create_app(tmp_path / "index", Settings(keys=(KEY,), time_limit=0.3))
    with TestClient(app, base_url=HERE, headers={"x-api-key": KEY}) as client:
        item = f"/v1/items/{public_id(app, RED)}"
        with app.state.service.library.writer._lock:
            assert client.delete(item).status_code == 504
        while app.state.service.texts.inside:
            time.sleep(0.02)
        assert client.get(item).status_code == 200


def test_a_full_disk_is_507(photos, bundle, tmp_path, monkeypatch):
    folder = shutil.copytree(photos, tmp_path / "own")
    index_folder(folder, tmp_path / "index", bundle)
    files, data = {"photo": (photos / RED).read_bytes()}, {"path": "new.png"}
    with TestClient(
        create_app(tmp_path / "index", Settings(keys=(KEY,))),
        base_url=HERE,
        headers={"x-api-key": KEY},
    ) as client:
        library = client.app.state.service.library

        def full(*_arguments):
            raise IndexingError("points: service error: No space left on device (os error 28)")

        for method in ("upsert", "flush"):
            with monkeypatch.context() as patch:
                patch.setattr(library._store, method, full)
                answer = client.post("/v1/items", files=files, data=data)
            assert answer.status_code == 507
            assert answer.json()["detail"] == "the disk is full; nothing was stored"
            assert not (folder / "new.png").exists()

        def no_spool(*_arguments):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(SpooledTemporaryFile, "write", no_spool)
            for path in ("/v1/items", "/v1/search/photo"):
                assert client.post(path, files=FORM, data=data).status_code == 507
        assert client.post("/v1/items", files=files, data=data).status_code == 201
