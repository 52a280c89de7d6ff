"""The service as a whole: status, keys, management, errors, logs and middleware."""

import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from hgan.errors import ConfigError, DataError, IndexingError
from hgan.serve.app import create_app
from hgan.serve.logs import JsonFormatter
from hgan.serve.settings import Settings
from tests.serve.conftest import HERE, KEY, public_id

RED = "red 0.png"


def test_status_and_health(client, photos, bundle):
    said = client.get("/v1/status").json()
    assert (said["name"], said["photos"], said["manageable"]) == (photos.name, 12, False)
    assert said["bundle"] == {"name": "tiny", "id": bundle.id, "languages": []}
    assert str(photos.parent) not in json.dumps(said)
    kept = said["index"]
    assert (kept["engine"], kept["shards"], kept["replicas"]) == ("edge", None, None)
    assert kept["bytes_on_disk"] > 10_000
    assert abs(datetime.fromisoformat(kept["changed"]) - datetime.now(UTC)) < timedelta(hours=1)
    assert client.get("/health").json() == {"status": "alive"}
    assert client.get("/ready").json() == {"status": "ready"}


def test_an_index_that_does_not_answer(serve, monkeypatch, index):
    client = serve()
    service = client.app.state.service

    def gone(*_arguments, **_more):
        raise IndexingError(f"{index}: the server does not answer")

    monkeypatch.setattr(service.library._store, "search", gone)
    for answer in (client.get("/ready"), client.post("/v1/search", json={"text": "red"})):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert str(index) not in answer.text
    assert client.get("/health").status_code == 200
    monkeypatch.undo()
    assert client.get("/ready").status_code == 200

    def broken(*_arguments, **_more):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(service.library._store, "search", broken)
    answer = client.post("/v1/search", json={"text": "red"})
    assert answer.status_code == 500
    assert answer.json()["detail"].endswith(answer.headers["x-request-id"])
    assert "secret" not in answer.text

    def tells(*_arguments, **_more):
        raise DataError(f"{service.library.manifest.root}/red 0.png: not good")

    monkeypatch.setattr(service.library._store, "search", tells)
    answer = client.post("/v1/search", json={"text": "red"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == f"{service.library.name}/red 0.png: not good"


def test_asking_for_readiness_is_one_search_at_a_time(serve, monkeypatch):
    client = serve()
    index = client.app.state.service.library.index
    hold, asked, find = threading.Event(), [], index.find
    monkeypatch.setattr(index, "find", lambda *a: asked.append(a) or (hold.wait(30) and find(*a)))
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(client.get, "/ready") for _ in range(20)]
        while not asked:
            time.sleep(0.01)
        time.sleep(0.2)
        assert client.app.state.service.texts.inside == 1
        hold.set()
        assert {answer.result().status_code for answer in answers} == {200}
    assert len(asked) < 20


def test_figures(client):
    client.get("/v1/items/nonsense")
    client.get("/nowhere")
    text = client.get("/metrics").text
    item = 'hgan_requests_total{method="GET",route="/v1/items/{key}",status="422"}'
    assert item in text
    assert 'hgan_requests_total{method="GET",route="none",status="404"}' in text
    assert 'hgan_work_inside{kind="texts"} 0.0' in text
    assert "nonsense" not in text


def test_one_log_line_a_request_with_its_id(client, caplog):
    with caplog.at_level(logging.INFO, "hgan.serve"):
        given = client.post("/v1/search", json={"text": "secret"}, headers={"x-request-id": "a-1"})
        made = client.get("/health", headers={"x-request-id": 'bad"; \x7f' + "x" * 100})
    assert given.headers["x-request-id"] == "a-1"
    assert made.headers["x-request-id"].isalnum()
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert [(line["route"], line["status"]) for line in lines] == [
        ("/v1/search", 200),
        ("/health", 200),
    ]
    assert "secret" not in json.dumps(lines)


def test_managing_needs_keys_that_are_configured(client):
    red = public_id(client.app, RED)
    answer = client.delete(f"/v1/items/{red}", headers={"x-api-key": KEY})
    assert answer.status_code == 403
    assert "HGAN_API_KEYS" in answer.json()["detail"]


def test_a_photo_is_taken_out_of_the_index_and_its_file_stays(serve, photos):
    client = serve(keys=("another key that is long", KEY))
    red = public_id(client.app, RED)
    for headers in ({}, {"x-api-key": "wrong"}, {"x-api-key": KEY[:-1]}, {"x-api-key": ""}):
        assert client.delete(f"/v1/items/{red}", headers=headers).status_code == 401
    assert client.get(f"/v1/items/{red}").status_code == 200
    assert client.delete(f"/v1/items/{red}", headers={"x-api-key": KEY}).status_code == 204
    assert client.get(f"/v1/items/{red}").status_code == 404
    assert client.delete(f"/v1/items/{red}", headers={"x-api-key": KEY}).status_code == 404
    found = client.post("/v1/search", json={"text": "red", "k": 200}).json()["hits"]
    assert len(found) == 11
    assert red not in [hit["id"] for hit in found]
    assert (photos / "red 0.png").is_file()


def test_searching_with_a_key(serve):
    client = serve(keys=(KEY,), require_key=True)
    red = public_id(client.app, RED)
    asked = {"text": "red"}
    refused = client.post("/v1/search", json=asked, headers={b"x-api-key": "ключ".encode()})
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    for path in (f"/v1/items/{red}", f"/v1/items/{red}/photo", f"/v1/items/{red}/thumbnail"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"x-api-key": KEY}).status_code == 200
    assert client.post("/v1/search", json=asked, headers={"x-api-key": KEY}).status_code == 200
    assert client.get("/ready").status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"require_key": True},
        {"keys": ("short",)},
        {"keys": ("ключ" * 8,)},
        {"rate": 0},
    ],
)
def test_settings_that_cannot_work(wrong):
    with pytest.raises(ConfigError):
        Settings(**wrong)


def test_pages_of_other_origins(serve, client):
    asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in client.options("/v1/search", headers=asked).headers
    allowing = serve(cors=("https://a.example",))
    answer = allowing.options("/v1/search", headers=asked)
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    other = asked | {"origin": "https://b.example"}
    answer = allowing.options("/v1/search", headers=other)
    assert "access-control-allow-origin" not in answer.headers


def test_under_a_prefix(client):
    client = TestClient(client.app, base_url=HERE, root_path="/photos")
    for prefix in ("", "/photos"):  # a proxy may leave it or take it off
        assert client.get(f"{prefix}/v1/status").status_code == 200
    assert client.get("/photos/openapi.json").json()["servers"] == [{"url": "/photos"}]


def test_ways_that_lead_nowhere(client):
    for answer, status in (
        (client.get("/nowhere"), 404),
        (client.get("/v1/search"), 405),
        (client.get("/docs"), 404),
        (client.get("/v1/status/"), 404),
    ):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


def test_an_index_that_is_open_already(serve, index):
    serve()
    with pytest.raises(IndexingError, match="another process is using this index"):
        create_app(index)


def test_an_index_that_is_not_for_this_program(index):
    file = index / "index.json"
    said = json.loads(file.read_text())
    for wrong, reason in (
        ({"format_version": 99}, "this program reads up to .*; upgrade hgan"),
        ({"bundle": "0123456789abcdef"}, "made with bundle tiny .*; use that bundle"),
        ({"more": 1}, "damaged"),
    ):
        file.write_text(json.dumps(said | wrong))
        with pytest.raises(IndexingError, match=reason):
            create_app(index)
    file.write_text(json.dumps(said))
    with TestClient(create_app(index), base_url=HERE) as client:
        assert client.get("/ready").status_code == 200
