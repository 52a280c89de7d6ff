"""Attacks by clients that want more than their share of a service, or pretend to be others."""
# ruff: noqa: F401, F811 - fixtures of the service are imported

import asyncio
import threading
import time

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from hgan.cli.serve import _addresses
from hgan.errors import ConfigError
from hgan.serve.middleware.limits import LimitsMiddleware, TokenBuckets
from hgan.serve.pool import Pool
from hgan.serve.settings import Settings
from tests.fixtures.service_process import serving
from tests.serve.conftest import HERE, KEY, address, client, index, made, photos, public_id, serve


def test_a_prefix_does_not_lift_the_rate():
    now = [0.0]
    statuses = {}
    for prefix in ("/my/web", "/health", "/a/"):
        limits = LimitsMiddleware(_answer, Settings(rate=1.0))
        limits._buckets = TokenBuckets(1.0, lambda: now[0])
        paths = ("/v1/search", "/v1/search/", "/x/health", "/v1/web/x", "/web", "/v1/x/thumbnail")
        statuses[prefix] = [_ask(limits, prefix + path, prefix) for path in paths]
        free = ("/", "/web/app.js", "/health", "/ready", "/metrics")
        assert [_ask(limits, prefix + path, prefix) for path in free] == [200] * 5
    assert list(statuses.values()) == [[200, 200, 429, 429, 429, 429]] * 3


async def _answer(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await PlainTextResponse("ok")(scope, receive, send)


def _ask(app, path, prefix="", chunks=(), **others):
    """The status of a request as the server passes it on, with the prefix in its path."""
    scope = {
        "type": "http", "method": "POST", "path": path, "root_path": prefix, "headers": [],
        "client": ("10.0.0.1", 1), "query_string": b"",
    } | others  # fmt: skip
    statuses = []
    left = iter(chunks)

    async def receive():
        chunk = next(left, None)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    try:
        asyncio.run(app(scope, receive, send))
    except HTTPException as error:
        return error.status_code
    return statuses[0]


def test_a_client_pays_for_results_and_bytes():
    now = [0.0]
    buckets = TokenBuckets(2.0, lambda: now[0])
    assert buckets.take("a") == 0.0
    buckets.charge("a", 20.0)
    assert buckets.take("b") == 0.0
    assert buckets.take("a") == pytest.approx(9.0)
    now[0] = 9.5
    assert buckets.take("a") == 0.0

    limits = LimitsMiddleware(_answer, Settings(rate=1.0))
    limits._buckets = TokenBuckets(1.0, lambda: 0.0)
    form = [(b"content-type", b"multipart/form-data")]
    large = [b" " * 2**20] * 8
    assert _ask(limits, "/v1/search/photo", chunks=large, headers=form) == 200
    assert _ask(limits, "/v1/status") == 429


def test_a_costly_search_is_paid_for(serve):
    client = serve(rate=1.0)
    costly = {"queries": [{"text": "red"}], "k": 200, "offset": 9800}
    assert client.post("/v1/search/batch", json=costly).status_code == 200
    answer = client.post("/v1/search", json={"text": "red"})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 8


def test_bodies_of_all_requests_have_a_bound():
    limits = LimitsMiddleware(_answer, Settings(bodies_bytes=1000))
    assert _ask(limits, "/v1/search", chunks=[b" " * 600, b" " * 500]) == 503
    assert limits._bytes == 0
    assert _ask(limits, "/v1/search", chunks=[b" " * 600, b" " * 300]) == 200
    assert limits._bytes == 0


def test_a_batch_cannot_ask_for_too_much(client):
    costly = {"queries": [{"text": "red"}] * 32, "k": 200, "offset": 7000}
    answer = client.post("/v1/search/batch", json=costly)
    assert answer.status_code == 422
    assert "queries x (offset + k) may be at most" in answer.json()["detail"]
    assert client.post("/v1/search/batch", json=costly | {"offset": 400}).status_code == 200


def test_work_is_admitted_by_its_cost():
    pool = Pool("test", workers=4, queue=4, budget=10)
    hold = threading.Event()

    async def ask():
        first = asyncio.ensure_future(pool.run_for(8, hold.wait, 30))
        await asyncio.sleep(0)
        with pytest.raises(HTTPException) as refused:
            await pool.run_for(3, print)
        assert refused.value.status_code == 503
        assert await pool.run_for(2, lambda: 5) == 5
        hold.set()
        await first
        assert await pool.run_for(10, lambda: 6) == 6

    asyncio.run(ask())
    pool.close()


def test_searches_are_admitted_by_their_cost(serve):
    client = serve(results=3000)
    page = {"queries": [{"text": "red"}] * 4, "k": 200}
    assert client.post("/v1/search/batch", json=page).status_code == 200
    answer = client.post("/v1/search/batch", json=page | {"offset": 800})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


def test_only_configured_proxies_say_who_the_client_is():
    assert _addresses(["10.0.0.0/24", "::1"]) == ["10.0.0.0/24", "::1"]
    for wrong in ("*", "proxy.example", "10.0.0.1/24", ""):
        with pytest.raises(ConfigError, match="--proxy must be an IP address"):
            _addresses([wrong])


@pytest.mark.slow
@pytest.mark.parametrize(("proxy", "status"), [((), 429), (("--proxy", "127.0.0.1"), 200)])
def test_forwarded_addresses(index, proxy, status):
    with serving(index, "--rate", "0.01", "--root-path", "/my/web", *proxy) as (_, url):
        statuses = [
            httpx.get(f"{url}/v1/status", headers={"X-Forwarded-For": f"10.0.0.{i}"}).status_code
            for i in range(3)
        ]
        assert statuses == [200, status, status]
        evil = httpx.get(f"{url}/health", headers={"Host": "evil.example"})
        assert evil.status_code == 421


def test_responses_are_not_delayed(address):
    """Without TCP_NODELAY, each takes 40 ms."""
    seconds = []
    with httpx.Client() as client:
        for _ in range(20):
            start = time.perf_counter()
            assert client.get(f"{address}/health").status_code == 200
            seconds.append(time.perf_counter() - start)
    assert min(seconds[1:]) < 0.03
