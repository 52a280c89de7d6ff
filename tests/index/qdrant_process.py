"""Qdrant's REST interface in a process of its own, as much of it as an index uses.

The engine is the local mode of Qdrant's client, which keeps its points on disk; around it stands a
web server that reads and writes the client's own models. So a test can start a server, kill it in
mid-work and start it again, and several processes can write to one.

    python qdrant_process.py PORT FOLDER
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel
from qdrant_client import QdrantClient, models


class MissingError(Exception):
    """404."""


class Handler(BaseHTTPRequestHandler):
    """One request; connections are not kept, and requests are answered one after another."""

    client: QdrantClient

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else {}
        path = [unquote(part) for part in urlsplit(self.path).path.split("/")[2:]]
        name, what = path[0], "/".join(path[1:])
        try:
            if what != "exists" and self.command != "PUT" and not self._exists(name):
                raise MissingError
            result = ASKED[self.command, what](self.client, name, body)
            self._send(200, {"result": result, "status": "ok", "time": 0.0})
        except (MissingError, KeyError):
            self._send(404, {"status": {"error": f"Not found: {self.command} {self.path}"}})
        except ValueError as error:
            self._send(409, {"status": {"error": str(error)}})

    do_GET = do_POST = do_PUT = answer  # noqa: N815

    def _exists(self, name: str) -> bool:
        return self.client.collection_exists(name)

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body, default=dumped).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def dumped(value: object) -> Any:
    assert isinstance(value, BaseModel)
    return value.model_dump(mode="json")


def create(client: QdrantClient, name: str, body: dict[str, Any]) -> bool:
    wanted = models.CreateCollection.model_validate(body)
    return client.create_collection(name, wanted.vectors, metadata=wanted.metadata)


def upsert(client: QdrantClient, name: str, body: dict[str, Any]) -> Any:
    return client.upsert(name, models.PointsList.model_validate(body).points)


def delete(client: QdrantClient, name: str, body: dict[str, Any]) -> Any:
    return client.delete(name, models.PointIdsList.model_validate(body))


def retrieve(client: QdrantClient, name: str, body: dict[str, Any]) -> Any:
    wanted = models.PointRequest.model_validate(body)
    return client.retrieve(name, wanted.ids, wanted.with_payload, wanted.with_vector or False)


def scroll(client: QdrantClient, name: str, body: dict[str, Any]) -> Any:
    wanted = models.ScrollRequest.model_validate(body)
    points, following = client.scroll(name, limit=wanted.limit, offset=wanted.offset)
    return {"points": points, "next_page_offset": following}


def query(client: QdrantClient, name: str, body: dict[str, Any]) -> Any:
    wanted = models.QueryRequest.model_validate(body)
    return client.query_points(
        name,
        query=wanted.query,
        using=wanted.using,
        query_filter=wanted.filter,
        limit=wanted.limit,
        with_payload=False,
    )


ASKED = {
    ("GET", "exists"): lambda c, name, _: {"exists": c.collection_exists(name)},
    ("GET", ""): lambda c, name, _: c.get_collection(name),
    ("PUT", ""): create,
    ("PUT", "index"): lambda *_: {"operation_id": 0, "status": "completed"},
    ("PUT", "points"): upsert,
    ("POST", "points"): retrieve,
    ("POST", "points/delete"): delete,
    ("POST", "points/scroll"): scroll,
    ("POST", "points/query"): query,
    ("POST", "points/count"): lambda c, name, _: c.count(name),
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def start(port: int, folder: Path) -> "subprocess.Popen[bytes]":
    """A server that answers."""
    server = subprocess.Popen([sys.executable, __file__, str(port), str(folder)])
    for _ in range(600):
        assert server.poll() is None
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return server
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server did not start")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The address of a server."""
    port = free_port()
    server = start(port, folder)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    Handler.client = QdrantClient(path=sys.argv[2])
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
