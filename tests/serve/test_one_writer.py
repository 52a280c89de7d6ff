"""A service whose folder is watched and indexed while photos are uploaded: nothing is lost."""

import io
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from hgan.index.conditions.filter import Filter
from hgan.index.indexer import IndexReport, index_folder
from hgan.search.query import Query
from hgan.search.searcher import open_index
from hgan.serve.library import Library
from hgan.serve.watching import following
from tests.fixtures.photos import COLOURS, save_photo

UPLOADERS, EACH = 3, 8


@pytest.fixture
def client(owner: TestClient) -> TestClient:
    return owner


def library_of(client: TestClient) -> Library:
    return client.app.state.service.library  # type: ignore[attr-defined]


def photo(seed: int) -> bytes:
    file = io.BytesIO()
    colour = ((seed * 37) % 256, (seed * 101) % 256, (seed * 53) % 256)
    Image.new("RGB", (80, 64), colour).save(file, "PNG")
    return file.getvalue()


def send(client: TestClient, path: str, tags: list[str], seed: int, **form: str) -> dict:
    files = {"photo": ("x.bin", photo(seed), "application/octet-stream")}
    answer = client.post("/v1/items", files=files, data={"path": path, "tags": tags, **form})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def wait_for(true: Callable[[], bool]) -> None:
    patience = time.monotonic() + 60
    while not true():
        assert time.monotonic() < patience, "it did not happen"
        time.sleep(0.05)


@pytest.mark.slow
def test_tags_stay_while_the_folder_is_watched(client, folder) -> None:
    """The watcher used to find the uploaded file as a new one, and to store it without tags."""
    library = library_of(client)
    with following(client.app.state.service):
        sent = send(client, "new/yellow.png", ["sea", "two words"], 1)
        # A photo that comes later has been seen: so the watcher has looked since the upload.
        save_photo(folder / "later.png", COLOURS["red"], seed=3)
        wait_for(lambda: len(library.index) == 5)
        time.sleep(2.0)
        item = client.get(f"/v1/items/{sent['id']}").json()
        assert item == sent
        assert item["tags"] == ["sea", "two words"]
        os.utime(folder / "new/yellow.png")  # touched, so it is read again
        save_photo(folder / "last.png", COLOURS["red"], seed=4)
        wait_for(lambda: len(library.index) == 6)
        time.sleep(1.0)
        assert client.get(f"/v1/items/{sent['id']}").json()["tags"] == ["sea", "two words"]
        asked = {"where": ["tag=two words"], "text": "yellow"}
        [hit] = client.post("/v1/search", json=asked).json()["hits"]
        assert hit["id"] == sent["id"]
        # Removed by a user: not brought back by the next look.
        assert client.delete(f"/v1/items/{sent['id']}").status_code == 204
        (folder / "last.png").unlink()
        wait_for(lambda: len(library.index) == 4)
        time.sleep(1.0)
        assert client.get(f"/v1/items/{sent['id']}").status_code == 404


@pytest.mark.slow
def test_uploads_watcher_and_indexing_at_once(client, folder, tmp_path, bundle) -> None:
    library = library_of(client)
    done = threading.Event()

    def index() -> int:
        runs = 0
        while not done.is_set():
            library.writer.update(library.writer.compare())
            runs += 1
        return runs

    def change() -> int:
        """What others do in the folder meanwhile."""
        number = 0
        while not done.is_set():
            save_photo(folder / f"by hand/{number % 5}.png", COLOURS["blue"], seed=number)
            if number > 5:
                (folder / f"by hand/{(number + 2) % 5}.png").unlink(missing_ok=True)
            os.utime(folder / "red.png")
            number += 1
            time.sleep(0.02)
        return number

    def upload(who: int) -> dict[str, list[str]]:
        sent = {}
        for number in range(EACH):
            path, tags = f"user {who}/{number}.png", [f"by {who}", f"number {number}"]
            send(client, path, tags, 100 * who + number)
            if number % 3 == 0:  # replaced by another photo, with other tags
                tags = [*tags, "again"]
                send(client, path, tags, 100 * who + number + 50, replace="true")
            sent[path] = tags
        return sent

    with ThreadPoolExecutor(8) as pool, following(client.app.state.service):
        others = [pool.submit(index), pool.submit(index), pool.submit(change)]
        try:
            uploads = [pool.submit(upload, who) for who in range(UPLOADERS)]
            sent = {path: tags for each in uploads for path, tags in each.result(120).items()}
        finally:
            done.set()
        assert all(other.result(120) > 1 for other in others)
    assert len(sent) == UPLOADERS * EACH
    library.writer.update(library.writer.compare())
    stored = list(library.writer._store.entries())
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert sorted(entry.path for entry in stored) == sorted(files)  # nothing lost, nothing twice
    tags = {entry.path: list(entry.tags) for entry in stored}
    assert {path: tags[path] for path in sent} == sent
    assert all(tags[path] == [] for path in files - sent.keys())
    client.__exit__(None, None, None)
    # Another process finds it all as it should be.
    report = index_folder(folder, tmp_path / "index", bundle)
    assert report == IndexReport(unchanged=len(files))
    with open_index(tmp_path / "index", bundle) as index_:
        found = index_.find(Query("red"), 100, where=Filter.parse(["tag=by 1"]))
        assert {hit.path.name for hit in found} == {f"{number}.png" for number in range(EACH)}
        points = index_._store.fetch([entry.id for entry in stored], local=True)
    fresh = tmp_path / "fresh"
    index_folder(folder, fresh, bundle)
    with open_index(fresh, bundle) as index_:
        expected = index_._store.fetch([entry.id for entry in stored], local=True)
    for point, other in zip(points, expected, strict=True):
        assert point.entry.digest == other.entry.digest
        assert point.dense == pytest.approx(other.dense, abs=2e-3)
        assert point.local == pytest.approx(other.local, abs=2e-3)


def test_a_photo_that_became_a_fifo_is_not_waited_for(client, folder) -> None:
    [hit] = client.post("/v1/search", json={"text": "a red photo", "k": 1}).json()["hits"]
    (folder / hit["path"]).unlink()
    os.mkfifo(folder / hit["path"])
    began = time.monotonic()
    for what in ("photo", "thumbnail"):
        assert client.get(f"/v1/items/{hit['id']}/{what}").status_code == 404
    assert client.post("/v1/explain", json={"id": hit["id"], "text": "red"}).status_code == 404
    assert time.monotonic() - began < 10


def test_a_rename_that_fails_leaves_folder_and_index(client, folder, monkeypatch) -> None:
    library = library_of(client)
    before = {entry.path: entry for entry in library.writer._store.entries()}
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    fsync = os.fsync

    def fails(file: int) -> None:
        """Only for files of the photo folder: the index beside it can be written."""
        if Path(f"/proc/self/fd/{file}").readlink().is_relative_to(folder):
            raise OSError(5, "I/O error")
        fsync(file)

    monkeypatch.setattr(os, "fsync", fails)
    for path, form in (("new.png", {}), ("red.png", {"replace": "true"})):
        sent = {"photo": ("x.bin", photo(1), "application/octet-stream")}
        answer = client.post("/v1/items", files=sent, data={"path": path, "tags": ["t"], **form})
        assert answer.status_code == 403
        assert "nothing was stored" in answer.json()["detail"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert {entry.path: entry for entry in library.writer._store.entries()} == before
