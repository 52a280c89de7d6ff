"""Qdrant's HTTP interface, as far as a store uses it, over a client that needs no server: the
network between the two is real, and can be cut."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from qdrant_client import QdrantClient, models

_ROUTES = (
    ("GET", "/exists", lambda client, name, _: {"exists": client.collection_exists(name)}),
    ("PUT", "/points", lambda client, name, body: client.upsert(name, _points(body))),
    ("POST", "/points/delete", lambda client, name, body: client.delete(name, body["points"])),
    ("POST", "/points/query", lambda client, name, body: _query(client, name, body)),
    ("POST", "/points/count", lambda client, name, body: client.count(name, exact=True)),
    ("POST", "/points", lambda client, name, body: _retrieve(client, name, body)),
    ("GET", "", lambda client, name, _: client.get_collection(name)),
)


class ServedQdrant:
    """A server on a port of this machine, which can go away and come back."""

    def __init__(self, client: QdrantClient) -> None:
        self._client = client
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self._one = threading.Lock()
        self.answers = threading.Event()
        """Cleared, questions are taken and not answered."""
        self.answers.set()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, on the same port as before."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.answers.wait(20)
                status, reply = outer._answer(self.command, self.path, content)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(reply).encode())

            do_GET = do_POST = do_PUT = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Go away."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _answer(self, method: str, path: str, content: bytes) -> tuple[int, object]:
        match = re.fullmatch(r"/collections/([^/?]+)([^?]*)(\?.*)?", path)
        assert match, path
        body = json.loads(content) if content else None
        for verb, end, ask in _ROUTES:
            if (method, match[2]) == (verb, end):
                with self._one:  # the client is for one thread
                    result = ask(self._client, match[1], body)
                value = result.model_dump(mode="json") if hasattr(result, "model_dump") else result
                return 200, {"result": value, "status": "ok", "time": 0.0}
        raise AssertionError(f"no store asks for {method} {path}")


def _points(body: dict) -> list[models.PointStruct]:
    return models.PointsList.model_validate(body).points


def _query(client: QdrantClient, name: str, body: dict) -> models.QueryResponse:
    asked = models.QueryRequest.model_validate(body)
    return client.query_points(
        name,
        query=asked.query,
        using=asked.using,
        query_filter=asked.filter,
        limit=asked.limit or 10,
        with_payload=bool(asked.with_payload),
    )


def _retrieve(client: QdrantClient, name: str, body: dict) -> list[dict]:
    found = client.retrieve(name, body["ids"], with_vectors=body.get("with_vector") or False)
    return [record.model_dump(mode="json") for record in found]
