"""Servers that are unreachable, busy or refuse, with real requests to a local port."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hgan.errors import ConfigError, IndexingError
from hgan.index.store.contract import BUILD_BEAM, LINKS
from hgan.index.store.qdrant import QdrantStore, create_collection
from hgan.index.store.server import API_KEY, LONGEST_PAUSE, Server, ServerSettings

Reply = tuple[int, dict[str, str], object]
"""Status, headers and the body."""


@contextmanager
def answering(*replies: Reply) -> Iterator[tuple[str, list[tuple[str, dict[str, str], object]]]]:
    """The address of a server that gives these answers, the last one for ever, and what it was
    asked: method and path, headers, body."""
    asked: list[tuple[str, dict[str, str], object]] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.loads(content) if content else None
            status, headers, reply = replies[min(len(asked), len(replies) - 1)]
            asked.append((f"{self.command} {self.path}", dict(self.headers), body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps(reply).encode())

        do_GET = do_POST = do_PUT = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


COUNT: Reply = (200, {}, {"result": {"count": 7}, "status": "ok", "time": 0.1})


def failure(status: int, **headers: str) -> Reply:
    return (status, headers, {"status": {"error": "because of the moon"}, "time": 0.1})


def count(address: str, pauses: list[float]) -> int:
    """Ask a store for the number of its points."""
    server = Server(ServerSettings.parse(address), sleep=pauses.append)
    with QdrantStore(server, 4, 4) as store:
        return store.count()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_busy_server_is_asked_again(status):
    pauses: list[float] = []
    with answering(failure(status), failure(status), COUNT) as (url, asked):
        assert count(f"{url}/photos", pauses) == 7
    assert len(asked) == 3
    assert len(pauses) == 2


def test_server_says_when_to_come_back():
    pauses: list[float] = []
    late = failure(429, **{"Retry-After": "86400"})
    with answering(failure(429, **{"Retry-After": "3"}), late, COUNT) as (url, _):
        assert count(f"{url}/photos", pauses) == 7
    assert pauses == [3, LONGEST_PAUSE]


def test_pauses_grow_and_end():
    most = [0.0] * 9
    with answering(failure(503)) as (url, asked):
        for _ in range(20):
            pauses: list[float] = []
            with pytest.raises(IndexingError, match=r"busy.*because of the moon.*try again later"):
                count(f"{url}/photos?attempts=10", pauses)
            assert len(pauses) == 9
            most = [max(pair) for pair in zip(most, pauses, strict=True)]
    assert len(asked) == 200
    assert all(pause <= 0.2 * 2**i for i, pause in enumerate(most))
    assert most[-1] <= LONGEST_PAUSE
    assert most[-1] > 20 * most[0]


def test_server_that_is_not_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pauses: list[float] = []
    with pytest.raises(IndexingError) as caught:
        count(f"http://127.0.0.1:{port}/photos", pauses)
    assert len(pauses) == 4
    assert f"is it running at http://127.0.0.1:{port}?" in str(caught.value)


def test_server_that_never_answers():
    pauses: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}/photos?timeout=1&attempts=2"
        with pytest.raises(IndexingError, match=r"does not answer \(timed out\) after 2 attempts"):
            count(address, pauses)
    assert len(pauses) == 1


def patient(address: str, pauses: list[float], said: list[str]) -> int:
    """Ask for the number of points twice, as indexing does; what the second time gave."""
    server = Server(ServerSettings.parse(address), sleep=pauses.append, waiting=said.append)
    with QdrantStore(server, 4, 4) as store:
        store.count()
        return store.count()


def test_server_that_has_answered_is_waited_for():
    pauses: list[float] = []
    said: list[str] = []
    with answering(COUNT, *[failure(503)] * 20, COUNT) as (url, asked):
        assert patient(f"{url}/photos?attempts=2", pauses, said) == 7
        assert len(asked) == 22
        assert said == [
            f"{url}/photos: the server is busy or has failed (503 Service Unavailable: because of "
            "the moon); waiting for it, up to 300 seconds"
        ]
    assert len(pauses) == 20


def test_patience_ends():
    pauses: list[float] = []
    with answering(COUNT, failure(503)) as (url, _), pytest.raises(IndexingError, match="later"):
        patient(f"{url}/photos?patience=20", pauses, [])
    assert 20 <= sum(pauses) <= 20 + LONGEST_PAUSE


def test_server_that_never_answered_is_not_waited_for():
    pauses: list[float] = []
    said: list[str] = []
    with answering(failure(503)) as (url, _), pytest.raises(IndexingError, match="try again later"):
        patient(f"{url}/photos", pauses, said)
    assert len(pauses) == 4
    assert not said


def test_refusals_try_nobodys_patience():
    with answering(COUNT, failure(401)) as (url, asked), pytest.raises(IndexingError, match="key"):
        patient(f"{url}/photos", [], [])
    assert len(asked) == 2


def test_collection_that_another_process_made_meanwhile():
    replies = [
        (200, {}, {"result": {"exists": there}, "status": "ok", "time": 0.1})
        for there in (False, True)
    ]
    with answering(replies[0], failure(409), replies[1]) as (url, asked):
        create_collection(Server(ServerSettings.parse(f"{url}/photos")), 4, 4, None, {})
    assert len(asked) == 3
    with answering(replies[0], failure(409), replies[0]) as (url, _), pytest.raises(IndexingError):
        create_collection(Server(ServerSettings.parse(f"{url}/photos")), 4, 4, None, {})


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "the server rejects the request (400 Bad Request: because of the moon)"),
        (401, f"set ${API_KEY}"),
        (403, f"set ${API_KEY}"),
        (404, "no index here; create one with `hgan index PHOTOS --to http://127.0.0.1"),
        (507, "because of the moon"),
    ],
)
def test_refusals_are_final(status, advice):
    pauses: list[float] = []
    with answering(failure(status)) as (url, asked), pytest.raises(IndexingError) as caught:
        count(f"{url}/photos", pauses)
    assert advice in str(caught.value)
    assert len(asked) == 1
    assert not pauses


def test_answers_that_are_none_of_qdrants():
    with answering((200, {}, ["hello"])) as (url, asked), pytest.raises(IndexingError):
        count(f"{url}/photos", [])
    assert len(asked) == 1


def test_key_is_sent_and_never_shown(monkeypatch):
    monkeypatch.setenv(API_KEY, "very-secret")
    settings = ServerSettings.parse("https://qdrant:6333/photos")
    assert settings.api_key == "very-secret"
    assert "very-secret" not in f"{settings} {settings!r}"
    with (
        answering(failure(401)) as (url, asked),
        pytest.warns(UserWarning, match="insecure connection"),
        pytest.raises(IndexingError) as caught,
    ):
        count(f"{url}/photos", [])
    assert asked[0][1]["api-key"] == "very-secret"
    assert "very-secret" not in str(caught.value)


def test_settings_reach_the_server():
    absent = (200, {}, {"result": {"exists": False}, "status": "ok", "time": 0.1})
    done = (200, {}, {"result": True, "status": "ok", "time": 0.1})
    query = "shard_number=6&replication_factor=3&write_consistency_factor=2"
    with answering(absent, done) as (url, asked):
        server = Server(ServerSettings.parse(f"{url}/behind/a%20proxy/my%20photos?{query}"))
        create_collection(server, 8, 4, "int8", {"hgan": {"root": "/photos"}})
        server.close()
    assert asked[0][0] == "GET /behind/a%20proxy/collections/my%20photos/exists"
    made, _, body = asked[1]
    assert made.startswith("PUT /behind/a%20proxy/collections/my%20photos")
    assert (body["shard_number"], body["replication_factor"]) == (6, 3)
    assert body["write_consistency_factor"] == 2
    assert body["metadata"] == {"hgan": {"root": "/photos"}}
    dense, local = body["vectors"]["dense"], body["vectors"]["local"]
    assert (dense["size"], dense["distance"], dense["datatype"]) == (8, "Dot", "turbo8")
    assert "quantization_config" not in dense and not dense["on_disk"]
    assert (local["size"], local["datatype"]) == (4, "turbo8")
    assert local["multivector_config"] == {"comparator": "max_sim"}
    assert local["hnsw_config"]["m"] == 0
    assert (dense["hnsw_config"]["m"], dense["hnsw_config"]["ef_construct"]) == (LINKS, BUILD_BEAM)


def test_a_server_that_does_not_know_vectors_in_8_bits():
    absent = (200, {}, {"result": {"exists": False}, "status": "ok", "time": 0.1})
    reason = "Format error in JSON body: unknown variant `turbo8`, expected one of `float32`"
    rejected = (400, {}, {"status": {"error": reason}, "time": 0.1})
    with answering(absent, rejected, absent) as (url, _):
        server = Server(ServerSettings.parse(f"{url}/photos"))
        with pytest.raises(IndexingError, match=r"/photos: int8 needs Qdrant 1\.20 or newer"):
            create_collection(server, 8, 4, "int8", {})
        server.close()


def test_vectors_without_quantization_are_float16():
    absent = (200, {}, {"result": {"exists": False}, "status": "ok", "time": 0.1})
    done = (200, {}, {"result": True, "status": "ok", "time": 0.1})
    with answering(absent, done) as (url, asked):
        server = Server(ServerSettings.parse(f"{url}/photos"))
        create_collection(server, 8, 4, None, {})
        server.close()
    body = asked[1][2]
    assert "shard_number" not in body
    assert [v["datatype"] for v in body["vectors"].values()] == ["float16", "float16"]
    assert "quantization_config" not in body["vectors"]["dense"]


def test_address():
    settings = ServerSettings.parse("http://qdrant:6333/photos?timeout=5&attempts=2")
    assert (settings.url, settings.collection) == ("http://qdrant:6333", "photos")
    assert (settings.timeout, settings.attempts, settings.shard_number) == (5, 2, None)
    assert str(settings) == "http://qdrant:6333/photos"


@pytest.mark.parametrize(
    ("address", "fix"),
    [
        ("http://qdrant:6333", "such as http://qdrant:6333/photos"),
        ("http://qdrant:6333/", "such as http://qdrant:6333/photos"),
        ("http:///photos", "such as http://qdrant:6333/photos"),
        ("http://qdrant/photos?shards=3", "known are timeout, attempts, patience, shard_number"),
        ("http://qdrant/photos?api_key=3", "known are timeout, attempts, patience, shard_number"),
        ("http://qdrant/photos?timeout=soon", "must be an integer above 0, not 'soon'"),
        ("http://qdrant/photos?attempts=0", "must be an integer above 0, not '0'"),
        ("http://me:secret@qdrant/photos", API_KEY),
    ],
)
def test_addresses_that_cannot_be(address, fix):
    with pytest.raises(ConfigError) as caught:
        ServerSettings.parse(address)
    assert fix in str(caught.value)
    assert "secret" not in str(caught.value)


def test_asking_after_closing():
    server = Server(ServerSettings.parse("http://qdrant/photos"))
    server.close()
    server.close()
    with pytest.raises(IndexingError, match="closed"):
        server.ask(lambda client: client.info())
