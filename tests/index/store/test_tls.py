"""A server with https: its certificate is checked, and one's own can be trusted."""

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hgan.errors import IndexingError
from hgan.index.store.qdrant import QdrantStore
from hgan.index.store.server import API_KEY, Server, ServerSettings

KEY = "a key of the server"


class Handler(BaseHTTPRequestHandler):
    """Seven points, for requests with the key."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        allowed = self.headers.get("api-key") == KEY
        self.send_response(200 if allowed else 401)
        self.end_headers()
        self.wfile.write(b'{"result": {"count": 7}, "status": "ok", "time": 0.1}')

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that its owner has signed, for localhost, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and is not there")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    command += " -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem"


@pytest.fixture
def address(certificate: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_port}/photos?attempts=1"
    server.shutdown()
    thread.join()
    server.server_close()


def count(address: str) -> int:
    with QdrantStore(Server(ServerSettings.parse(address)), 4, 4) as store:
        return store.count()


def test_a_certificate_that_nobody_knows(address, monkeypatch):
    monkeypatch.setenv(API_KEY, KEY)
    with pytest.raises(IndexingError, match="CERTIFICATE_VERIFY_FAILED"):
        count(address)


def test_a_certificate_of_ones_own(address, certificate, monkeypatch):
    monkeypatch.setenv(API_KEY, KEY)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert count(address) == 7
    monkeypatch.delenv(API_KEY)
    with pytest.raises(IndexingError, match="401"):
        count(address)
