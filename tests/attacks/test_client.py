"""Attacks on the client: by the service that it was told to use."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hgan import requester
from hgan.client import Client
from hgan.errors import DataError, HganError, IndexingError
from hgan.search.query import Query

KEY = "a key of the tests that is long"
HIT = {
    "id": "8d4fbd5c-7f6e-5a6b-9d3a-0c1f2e3d4c5b",
    "path": "2023/dog.jpg",
    "score": 1.0,
    "levels": {"context": 1.0},
    "duplicates": [],
}
WORD = {
    "text": "dog", "start": 0, "end": 3, "weight": 1.0, "weights": [1.0], "part": 0.5,
    "region": 0, "similarity": [0.5], "pieces": [[0.5]],
}  # fmt: skip
PATCHES = {"source": "patch tokens", "region": 0, "similarity": [0.5]}
EXPLANATION = {
    "text": "dog", "score": 1.0, "slots": [], "boxes": [[0, 0, 1, 1]], "words": [WORD],
    "levels": {"local": {"weight": 1.0, "similarity": 0.5, "part": 0.5}},
}  # fmt: skip


@contextmanager
def service(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """The address of a server whose every request is answered by a function."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def send(handler, status=200, body=b"", **headers):
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def answering(value: object) -> Iterator[Client]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    with service(lambda handler: send(handler, body=body)) as url, closing(Client(url)) as client:
        yield client


def test_the_example_is_valid():
    with answering({"hits": [HIT]}) as client:
        [hit] = client.search("dog")
        assert (hit.path.as_posix(), hit.score, hit.id) == ("2023/dog.jpg", 1.0, HIT["id"])
    with answering(EXPLANATION) as client:
        assert client.explain(HIT["id"], "dog").as_dict()["words"][0]["region"] == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_is_not_sent_to_another_address(status):
    seen = []
    with service(lambda handler: seen.append(dict(handler.headers)) or send(handler)) as other:
        where = f"{other}/v1/status"
        with (
            service(lambda handler: send(handler, status, Location=where)) as url,
            closing(Client(url, KEY)) as client,
        ):
            with pytest.raises(IndexingError, match="redirects to"):
                client.status()
            with pytest.raises(IndexingError, match="redirects to"):
                client.search("dog")
    assert seen == []


def test_a_redirect_to_nowhere():
    with (
        service(lambda handler: send(handler, 302)) as url,
        closing(Client(url, KEY)) as client,
        pytest.raises(IndexingError, match="redirects to ''"),
    ):
        client.status()


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "../../etc/passwd", "a/../../b.jpg", "..", "", "a\0b", "//host/share/a.jpg",
    ],
)  # fmt: skip
def test_paths_that_lead_out_of_the_folder(path):
    for hit in (HIT | {"path": path}, HIT | {"duplicates": ["a.jpg", path]}):
        with (
            answering({"hits": [hit]}) as client,
            pytest.raises(IndexingError, match="the answer is not valid"),
        ):
            client.search("dog")


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, {}, {"hits": None}, {"hits": {}},
        {"hits": [None]}, {"hits": [{}]},
        {"hits": [HIT | {"id": "../../x"}]}, {"hits": [HIT | {"id": HIT["id"] + "\n"}]},
        {"hits": [HIT | {"score": float("nan")}]}, {"hits": [HIT | {"score": float("inf")}]},
        {"hits": [HIT | {"score": "high"}]}, {"hits": [HIT | {"levels": {"context": None}}]},
        {"hits": [HIT | {"path": ["a"]}]},
    ],
)  # fmt: skip
def test_answers_that_are_not_what_was_asked_for(answer):
    with answering(answer) as client:
        with pytest.raises(IndexingError, match="the answer is not valid"):
            client.search("dog")
        with pytest.raises(IndexingError, match="the answer is not valid"):
            client.find_many([Query("a"), Query("b")])
        with pytest.raises(IndexingError, match="the answer is not valid"):
            client.explain(HIT["id"], "dog")
        with pytest.raises(IndexingError, match="the answer is not valid"):
            client.status()


def test_fewer_results_than_queries():
    with (
        answering({"results": [{"hits": [HIT]}]}) as client,
        pytest.raises(IndexingError, match="1 results for 2 queries"),
    ):
        client.find_many([Query("a"), Query("b")])


@pytest.mark.parametrize(
    "change",
    [
        {"words": [WORD | {"pieces": []}]}, {"words": [WORD | {"pieces": [[]]}]},
        {"words": [WORD | {"pieces": [[0.5, 0.5]]}]}, {"words": [WORD | {"weights": []}]},
        {"words": [WORD | {"end": 10**9}]}, {"words": [WORD | {"start": -1}]},
        {"boxes": [[0, 0, 1]]}, {"boxes": [[0, 0, 1, float("nan")]]}, {"boxes": []},
        {"levels": {"local": {}}}, {"slots": [None]}, {"text": 5},
        {"patches": PATCHES | {"similarity": []}}, {"patches": PATCHES | {"similarity": [0, 1]}},
        {"patches": PATCHES | {"similarity": [float("nan")]}}, {"patches": {"region": 0}},
        {"patches": PATCHES | {"region": 1}}, {"patches": PATCHES | {"region": -1}},
    ],
)  # fmt: skip
def test_explanations_that_do_not_fit_together(change):
    with (
        answering(EXPLANATION | change) as client,
        pytest.raises(IndexingError, match="the answer is not valid"),
    ):
        client.explain(HIT["id"], "dog")


def test_a_number_of_photos_that_is_none():
    for count in (-1, "many", None, 1.5):
        with answering({"photos": count}) as client, pytest.raises(IndexingError, match="photos"):
            len(client)


def test_an_endless_answer(monkeypatch):
    monkeypatch.setattr(requester, "MOST_BYTES", 2**20)
    sent = 0

    def endless(handler):
        nonlocal sent
        handler.send_response(200)
        handler.end_headers()
        try:
            while sent < 2**28:
                handler.wfile.write(b" " * 2**16)
                sent += 2**16
        except OSError:
            pass

    with (
        service(endless) as url,
        closing(Client(url)) as client,
        pytest.raises(IndexingError, match="is larger than 1 MB"),
    ):
        client.search("dog")
    assert sent < 2**26


def test_a_compressed_answer_is_not_unpacked():
    bomb = gzip.compress(bytes(2**24))
    with (
        service(lambda handler: send(handler, body=bomb, Content_Encoding="gzip")) as url,
        closing(Client(url)) as client,
        pytest.raises(IndexingError, match="compressed"),
    ):
        client.search("dog")


def _drip(connection, text):
    with connection:
        try:
            connection.recv(65536)
            for byte in text:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
            time.sleep(20)
        except OSError:
            pass


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n" + b"X-More: 1\r\n" * 1000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + b" " * 10_000,
    ],
)
def test_a_slow_answer_ends_at_the_timeout(text):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=_drip, args=(connection, text), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        with closing(Client(f"http://127.0.0.1:{server.getsockname()[1]}", timeout=1.0)) as client:
            start = time.monotonic()
            with pytest.raises(IndexingError, match="does not answer"):
                client.search("dog")
            assert time.monotonic() - start < 6


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"detail": 5}', b"[" * 100_000, b'{"detail": "' + b"x" * 10**6 + b'"}',
     b'{"detail": "\\u001b[2J\\nforged"}'],
)  # fmt: skip
def test_error_messages_are_short_and_printable(body):
    for status in (400, 404, 500, 503):
        with (
            service(lambda handler, code=status: send(handler, code, body)) as url,
            closing(Client(url)) as client,
            pytest.raises(HganError, match=f"status {status}") as raised,
        ):
            client.search("dog")
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 7000


@pytest.mark.parametrize("key", ["a\r\nX-Other: b", "ключ", "a\0"])
def test_keys_that_are_no_header_are_not_shown(key):
    with pytest.raises(DataError, match="not allowed in an HTTP header") as raised:
        Client("http://127.0.0.1:9", key)
    assert key not in str(raised.value)
