"""Attacks on a service: from pages of other sites, and by clients that want more than their
share."""
# ruff: noqa: F401, F811 - fixtures of the service are imported

import asyncio
import errno
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from uuid import UUID, uuid4

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from hgan.cli.serve import _addresses
from hgan.errors import ConfigError, IndexingError
from hgan.index.indexer import index_folder
from hgan.search.ids import id_of_path
from hgan.serve.app import create_app
from hgan.serve.middleware.limits import LimitsMiddleware, TokenBuckets
from hgan.serve.pool import Pool
from hgan.serve.public_ids import PublicIds
from hgan.serve.settings import Settings
from tests.fixtures.service_process import serving
from tests.serve.conftest import HERE, KEY, address, client, index, made, photos, public_id, serve

RED = "red 0.png"
PHOTO = "/v1/items/{}/photo"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8000", "localhost.evil.example", "localhost@evil.example",
        "127.0.0.1.evil.example", "10.0.0.7", "[::2]", "[::1", "localhost:80:80", "", "localhost/x",
    ],
)  # fmt: skip
def test_other_host_names_are_refused(client, host):
    for path in ("/", "/health", "/v1/status", PHOTO.format(public_id(client.app, RED))):
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == 421
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1:1", "[::1]:8000"]
)
def test_this_machine_is_always_allowed(client, host):
    assert client.get("/health", headers={"host": host}).status_code == 200


def test_hosts_of_the_settings(serve):
    client = serve(hosts=("192.168.1.5", "photos.example.org"))
    status = {
        name: client.get("/health", headers={"host": name}).status_code
        for name in ("192.168.1.5:8000", "Photos.Example.org", "192.168.1.6", "example.org")
    }
    assert list(status.values()) == [200, 200, 421, 421]


def test_every_address_but_no_name_where_the_service_listens_on_all(serve):
    client = serve(hosts=("0.0.0.0",))
    status = {
        name: client.get("/health", headers={"host": name}).status_code
        for name in ("192.168.1.5:8000", "[fe80::1]", "evil.example")
    }
    assert list(status.values()) == [200, 200, 421]


@pytest.mark.parametrize("name", ["http://a.example", "a.example/x", "*", "a b", ""])
def test_hosts_that_are_no_names(name):
    with pytest.raises(ConfigError, match="is not a host name"):
        Settings(hosts=(name,))


CROSS_SITE = [
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
    {"origin": "http://evil.example"},
    {"origin": "http://localhost:3000"},
    {"origin": "https://localhost:8443"},
    {"origin": "null"},
    {"origin": "http://evil.example", "sec-fetch-site": "cross-site"},
]


@pytest.mark.parametrize("headers", CROSS_SITE)
def test_pages_of_other_sites_are_refused(client, headers):
    for path in (PHOTO.format(public_id(client.app, RED)), PHOTO.format(uuid4()), "/v1/status"):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 403  # the same for photos that exist and that do not
    assert client.post("/v1/search", json={"text": "red"}, headers=headers).status_code == 403
    form = {"photo": ("a.png", b"x")}
    assert client.post("/v1/search/photo", files=form, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "same-origin", "origin": HERE},
        {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
        {"origin": "http://localhost"},
        {"origin": "http://localhost:80"},
    ],
)
def test_the_page_of_the_service_and_programs_are_served(client, headers):
    assert client.get("/v1/status", headers=headers).status_code == 200
    assert client.post("/v1/search", json={"text": "red"}, headers=headers).status_code == 200


def test_other_sites_may_link_to_the_page_only(client):
    link, frame = CROSS_SITE[3], CROSS_SITE[2]
    assert client.get("/?q=dogs", headers=link).status_code == 200
    assert client.get("/", headers=frame).status_code == 403
    assert client.get("/openapi.json", headers=link).status_code == 403


def test_a_page_that_is_allowed(serve):
    client = serve(cors=("https://album.example",))
    headers = {"origin": "https://album.example", "sec-fetch-site": "cross-site"}
    answer = client.post("/v1/search", json={"text": "red"}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == headers["origin"]
    headers["origin"] = "https://album.example.evil.example"
    answer = client.post("/v1/search", json={"text": "red"}, headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_nothing_can_be_embedded_or_run(client):
    key = public_id(client.app, RED)
    for path in (PHOTO.format(key), f"/v1/items/{key}/thumbnail", "/v1/status", "/none"):
        headers = client.get(path).headers
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "sandbox", "frame-ancestors 'none'"} <= set(policy)
    assert client.get("/").headers["cross-origin-resource-policy"] == "same-origin"
    assert "sandbox" not in client.get("/").headers["content-security-policy"]


def test_names_of_files_do_not_give_ids(client):
    stored = id_of_path(RED)
    for what in ("", "/photo", "/thumbnail"):
        assert client.get(f"/v1/items/{stored}{what}").status_code == 404
    asked = {"id": stored, "text": "red"}
    assert client.post("/v1/explain", json=asked).status_code == 404
    assert client.post("/v1/search", json={"like": stored}).status_code == 404
    found = client.post("/v1/search", json={"text": "red", "k": 200}).json()["hits"]
    assert len(found) == 12
    for hit in found:
        assert hit["id"] != id_of_path(hit["path"])
        assert client.get(f"/v1/items/{hit['id']}").json()["path"] == hit["path"]


def test_an_id_by_its_path(client):
    answer = client.post("/v1/lookup", json={"path": RED})
    assert (answer.json()["id"], answer.json()["path"]) == (public_id(client.app, RED), RED)
    assert client.post("/v1/lookup", json={"path": "none.png"}).status_code == 404
    # A page of another site can send this without asking the service first.
    plain = {"content-type": "text/plain"}
    answer = client.post("/v1/lookup", content=b'{"path": "red 0.png"}', headers=plain)
    assert answer.status_code == 422


def ids_of(index):
    with TestClient(create_app(index), base_url=HERE) as client:
        found = client.post("/v1/search", json={"text": "red", "k": 200}).json()["hits"]
    return {hit["path"]: hit["id"] for hit in found}


def test_ids_are_stable_and_belong_to_one_index(photos, bundle, index, tmp_path):
    secret = index / "secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    before = ids_of(index)
    index_folder(photos, index, bundle)
    assert ids_of(index) == before
    index_folder(photos, tmp_path / "other", bundle)
    assert not set(before.values()) & set(ids_of(tmp_path / "other").values())
    secret.unlink()  # an index of an older version
    changed = ids_of(index)
    assert not set(before.values()) & set(changed.values())
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert ids_of(index) == changed


@pytest.mark.parametrize("damage", [b"", b"00ff", b"x" * 64, b"\xff" * 64])
def test_a_damaged_secret_is_refused(index, damage):
    (index / "secret").write_bytes(damage)
    with pytest.raises(IndexingError, match="secret: "):
        create_app(index)
    (index / "secret").unlink()
    create_app(index).state.service.close()


def test_public_ids_are_a_permutation():
    ids, other = PublicIds(bytes(32)), PublicIds(bytes(31) + b"\1")
    stored = [str(uuid4()) for _ in range(1000)]
    public = [ids.public(key) for key in stored]
    assert [ids.stored(UUID(key)) for key in public] == stored
    assert len(set(public)) == 1000
    assert not {other.public(key) for key in stored} & set(public)
    # One bit of the id changes half of the bits.
    flips = [(UUID(ids.public(str(UUID(int=1 << bit)))).int).bit_count() for bit in range(128)]
    assert 50 < sum(flips) / 128 < 78


FORM = {"photo": ("a.png", b"x" * 3_000_000)}


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


def test_only_configured_proxies_say_who_the_client_is():
    assert _addresses(["10.0.0.0/24", "::1"]) == ["10.0.0.0/24", "::1"]
    for wrong in ("*", "proxy.example", "10.0.0.1/24", ""):
        with pytest.raises(ConfigError, match="--proxy must be an IP address"):
            _addresses([wrong])


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
