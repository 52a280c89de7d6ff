"""Limits: sizes, rates, times and full queues."""

import asyncio
import threading

import pytest
from starlette.exceptions import HTTPException

from hgan.serve.middleware.limits import CLIENTS, TokenBuckets
from hgan.serve.pool import Pool


def test_a_body_that_is_too_large_by_its_own_account(serve):
    client = serve(body_bytes=1000)
    answer = client.post("/v1/search", json={"text": "red " * 1000})
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert client.post("/v1/search", json={"text": "red"}).status_code == 200


@pytest.mark.parametrize("form", [False, True])
def test_a_body_that_turns_out_too_large_is_not_read_to_its_end(serve, form):
    client = serve(body_bytes=100_000)
    read = 0

    def endless():
        nonlocal read
        if form:
            yield b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
        for _ in range(10_000):
            read += 1000
            yield b" " * 1000

    kind = "multipart/form-data; boundary=x" if form else "application/json"
    place = "/v1/search/photo" if form else "/v1/search"
    [status] = streamed(client.app, place, {"content-type": kind}, endless())
    assert status == 413
    assert read < 110_000


def streamed(app, path, headers, chunks):
    """Statuses of a request whose body comes bit by bit; TestClient reads all of it before."""
    return asyncio.run(_streamed(app, path, headers, chunks))


def _scope(path, headers):
    headers = {"host": "localhost", **headers}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "scheme": "http", "headers": raw,
        "client": ("test", 1), "server": ("test", 80),
    }  # fmt: skip


async def _streamed(app, path, headers, chunks):
    statuses = []
    scope = _scope(path, headers)

    async def receive():
        chunk = next(chunks, None)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses


def test_a_body_without_a_photo_is_smaller(serve):
    client = serve(json_bytes=1000)
    assert client.post("/v1/search", json={"text": "red " * 1000}).status_code == 413
    assert client.post("/v1/search/photo", files={"photo": b"x" * 5000}).status_code == 415


def test_photos_that_are_received_at_once_have_a_number(serve):
    client = serve(uploads=2)

    async def ask():
        hold = asyncio.Event()

        async def slow():
            await hold.wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        statuses = []
        scope = _scope("/v1/search/photo", {"content-type": "multipart/form-data; boundary=x"})
        first = [asyncio.create_task(client.app(dict(scope), slow, send)) for _ in range(2)]
        await asyncio.sleep(0.1)
        assert statuses == []
        await client.app(dict(scope), slow, send)
        assert statuses == [503]
        hold.set()
        await asyncio.gather(*first)
        assert [status // 100 for status in statuses] == [5, 4, 4]

    asyncio.run(ask())
    # Their places are free again.
    assert client.post("/v1/search/photo", files={"photo": b"x"}).status_code == 415


def test_folding_has_an_end(client):
    asked = {"text": "red", "fold": True, "k": 10}
    assert client.post("/v1/search", json=asked | {"offset": 990}).status_code == 200
    answer = client.post("/v1/search", json=asked | {"offset": 991})
    assert answer.status_code == 422
    assert "first 1000 hits" in answer.json()["detail"]


def test_a_client_that_asks_too_often(serve):
    client = serve(rate=0.01)
    assert client.get("/v1/status").status_code == 200
    answer = client.get("/v1/status")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 100
    for _ in range(5):
        assert client.get("/health").status_code == 200


def test_buckets_fill_again_and_are_forgotten():
    now = [0.0]
    buckets = TokenBuckets(2.0, lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [0.0] * 4
    assert buckets.take("a") == pytest.approx(0.5)
    assert buckets.take("b") == 0.0
    now[0] = 0.5
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0
    for i in range(CLIENTS + 10):
        buckets.take(str(i))
    assert len(buckets._buckets) == CLIENTS


def test_thumbnails_cost_a_client_little(serve):
    client = serve(rate=1.0)
    key = client.post("/v1/search", json={"text": "red", "k": 1}).json()["hits"][0]["id"]
    answers = [client.get(f"/v1/items/{key}/thumbnail").status_code for _ in range(48)]
    assert answers == [200] * 48
    assert 429 in [client.get("/v1/status").status_code for _ in range(3)]


def test_what_takes_too_long(serve, monkeypatch):
    client = serve(time_limit=0.2)
    library = client.app.state.service.library
    hold = threading.Event()
    entry = library.entry
    monkeypatch.setattr(library, "entry", lambda key: hold.wait(30) and entry(key))
    answer = client.get("/v1/items/00000000-0000-0000-0000-000000000000")
    hold.set()
    assert answer.status_code == 504
    assert "0.2 seconds" in answer.json()["detail"]
    monkeypatch.undo()
    assert client.get("/v1/status").status_code == 200


def test_a_full_line_refuses_and_empties_again():
    pool = Pool("test", workers=1, queue=1)
    hold = threading.Event()

    async def ask():
        first, second = (asyncio.ensure_future(pool.run(hold.wait, 30)) for _ in range(2))
        await asyncio.sleep(0)
        assert pool.inside == 2
        with pytest.raises(HTTPException) as refused:
            await pool.run(print)
        assert refused.value.status_code == 503
        assert refused.value.headers["Retry-After"] == "1"
        second.cancel()  # it only waits, and gives its place up
        await asyncio.sleep(0)
        assert pool.inside == 1
        first.cancel()  # it runs, and keeps its place until it ends
        await asyncio.sleep(0)
        assert pool.inside == 1
        hold.set()
        assert await pool.run(lambda: 5) == 5

    asyncio.run(ask())
    pool.close()
    assert pool.inside == 0
