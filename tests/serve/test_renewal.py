"""A service whose index is rebuilt with another model: it answers all the time, nothing is lost."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from hgan.errors import DataError, IndexingError
from hgan.index.backup import backup_index, restore_index
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.rebuild import rebuild_index
from hgan.index.store.folder import open_store, read_manifest
from hgan.index.store.pause import pause
from hgan.runtime.bundle import Bundle
from hgan.serve import renewal
from hgan.serve.watching import following
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import write_tiny_bundle
from tests.serve.test_watching import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def other(tmp_path: Path) -> Bundle:
    return Bundle.load(write_tiny_bundle(tmp_path / "other", seed=1))


@pytest.fixture
def client(owner: TestClient, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(renewal, "POLL", 0.1)
    return owner


def model_of(client: TestClient) -> str:
    return client.get("/v1/status").json()["bundle"]["id"]


def send(client: TestClient, path: str, tags: list[str], seed: int) -> dict:
    file = io.BytesIO()
    Image.new("RGB", (80, 64), ((seed * 37) % 256, (seed * 101) % 256, 90)).save(file, "PNG")
    files = {"photo": ("x.bin", file.getvalue(), "application/octet-stream")}
    answer = client.post("/v1/items", files=files, data={"path": path, "tags": tags})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_searches_and_uploads_go_on(client, folder, tmp_path, bundle, other) -> None:
    before = send(client, "before.png", ["sea", "two words"], 1)
    done = threading.Event()

    def search() -> int:
        searches = 0
        while not done.is_set():
            answer = client.post("/v1/search", json={"text": "a red photo", "k": 2})
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["hits"]) == 2
            searches += 1
        return searches

    def upload() -> dict[str, list[str]]:
        sent = {}
        while not done.is_set():
            number = len(sent)
            send(client, f"new/{number}.png", [f"number {number}"], number)
            sent[f"new/{number}.png"] = [f"number {number}"]
        return sent

    with ThreadPoolExecutor(4) as pool, following(client.app.state.service):
        others = [pool.submit(search), pool.submit(search)]
        uploads = pool.submit(upload)
        try:
            for wanted in (other, bundle):
                report = rebuild_index(tmp_path / "index", wanted).report
                assert report.added >= 4 and report.skipped == {}
                wait_for(lambda wanted=wanted: model_of(client) == wanted.id)
            renewed = client.app.state.service.library
            save_photo(folder / "later.png", COLOURS["blue"], seed=9)
            wait_for(lambda: any(e.path == "later.png" for e in renewed.entries()))
        finally:
            done.set()
        sent = uploads.result(60)
        assert all(other.result(60) > 1 for other in others)
    assert len(sent) > 2
    stored = {entry.path: list(entry.user_tags) for entry in renewed.entries()}
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert stored.keys() == files
    assert {path: stored[path] for path in sent} == sent
    assert client.get(f"/v1/items/{before['id']}").json() == before  # the same public id
    wait_for(lambda: not (tmp_path / "index/generation-1").exists())
    assert {path.name for path in (tmp_path / "index/generation-2").iterdir()} == {"edge"}
    client.__exit__(None, None, None)
    assert index_folder(folder, tmp_path / "index", bundle) == IndexReport(unchanged=len(files))


def test_removed_photos_stay_removed(client, folder, tmp_path, other) -> None:
    [hit] = client.post("/v1/search", json={"text": "red", "k": 1}).json()["hits"]
    assert client.delete(f"/v1/items/{hit['id']}").status_code == 204
    rebuild_index(tmp_path / "index", other)
    wait_for(lambda: model_of(client) == other.id)
    with following(client.app.state.service):
        save_photo(folder / "later.png", COLOURS["red"], seed=3)
        wait_for(lambda: client.get("/v1/status").json()["photos"] == 3)
    assert client.get(f"/v1/items/{hit['id']}").status_code == 404


def test_photos_that_are_gone_now_keep_the_old_generation(
    client, folder, tmp_path, other, bundle, monkeypatch
) -> None:
    """As a disk that is not mounted when the service would switch."""
    moved = folder.with_name("moved")
    monkeypatch.setattr(
        "hgan.index.rebuild_folder.set_ready",
        lambda place: (folder.rename(moved), (place / "ready").write_text("{}")),
    )
    with ThreadPoolExecutor(1) as pool:
        rebuilding = pool.submit(rebuild_index, tmp_path / "index", other)
        wait_for(moved.exists)
        renewed = client.app.state.service.library
        with pytest.raises(DataError, match="no such folder"):
            renewal._look(client.app.state.service, threading.Event())
        assert model_of(client) == bundle.id
        assert read_manifest(tmp_path / "index").generation == 0
        moved.rename(folder)
        assert rebuilding.result(60).report.added == 3
    wait_for(lambda: model_of(client) == other.id)
    assert renewed.replaced.is_set()


def test_changes_are_refused_while_the_new_generation_cannot_be_opened(client) -> None:
    """They would be made in the old one, and lost with it."""
    [hit] = client.post("/v1/search", json={"text": "red", "k": 1}).json()["hits"]
    client.app.state.service.library.writer.end()
    answer = client.delete(f"/v1/items/{hit['id']}")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert client.get(f"/v1/items/{hit['id']}").status_code == 200


def test_a_backup_while_photos_are_searched_and_uploaded(client, folder, tmp_path, bundle) -> None:
    done = threading.Event()
    file, index = tmp_path / "a.backup", tmp_path / "index"

    def upload() -> int:
        sent = 0
        while not done.is_set():
            send(client, f"new/{sent}.png", [f"number {sent}"], sent)
            sent += 1
        return sent

    def search() -> int:
        searches = 0
        while not done.is_set():
            assert client.post("/v1/search", json={"text": "red", "k": 3}).status_code == 200
            searches += 1
        return searches

    with ThreadPoolExecutor(3) as pool, following(client.app.state.service):
        others = [pool.submit(upload), pool.submit(search)]
        try:
            sent = client.app.state.service.library
            wait_for(lambda: len(sent.index) > 5)
            backup_index(index, file)
            after = len(sent.index)
            wait_for(lambda: len(sent.index) > after + 2)  # uploads go on
        finally:
            done.set()
        assert all(other.result(60) > 1 for other in others)
    restored = restore_index(file, tmp_path / "restored")
    assert 6 <= restored.points <= after
    with open_store(tmp_path / "restored", restored) as store:
        assert all(state == "intact" for _, state in store.verify())
        stored = {entry.path: entry.user_tags for entry in store.entries()}
    uploaded = {path: tags for path, tags in stored.items() if path.startswith("new/")}
    assert uploaded == {f"new/{i}.png": (f"number {i}",) for i in range(len(uploaded))}
    assert len(uploaded) == restored.points - 3


def test_nothing_is_changed_while_a_backup_is_made(client, tmp_path) -> None:
    """An upload waits; a backup that is killed does not hold it for ever."""
    index = tmp_path / "index"
    with ThreadPoolExecutor(1) as pool:
        with pause(index, 10) as pauses:
            assert pauses
            sending = pool.submit(send, client, "new.png", [], 1)
            with pytest.raises(TimeoutError):
                sending.result(2)
            assert client.post("/v1/search", json={"text": "red", "k": 3}).status_code == 200
        assert sending.result(60)["path"] == "new.png"
    with pause(index, 0.0) as pauses, pytest.raises(IndexingError, match="makes a backup"):
        assert not pauses
        backup_index(index, tmp_path / "b.backup")
