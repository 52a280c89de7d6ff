"""Clients that are slow, send too much, or are in the middle of a request when the service stops:
with `hgan serve` as a process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hgan.client import Client
from hgan.search.query import Query
from tests.serve.conftest import KEY

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")

CODE = """
import sys
from hgan.serve import connections
from hgan.serve.settings import Settings
made = Settings.of_environment
Settings.of_environment = lambda **others: made(**others, time_limit=1.0)
connections.HEAD_SECONDS = 1.0
from hgan.cli import main
sys.exit(main(["serve", *sys.argv[1:], "--port", "0"]))
"""
"""The service, with times that a test can wait for."""

PART = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'


@contextmanager
def serving(index, code=CODE):
    environment = os.environ | {"HGAN_API_KEYS": KEY}
    command = [sys.executable, "-c", code, str(index)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            line = process.stdout.readline()
            found = re.search(r"http://[\d.:]+", line)
            assert found, line + process.stderr.read()
            yield process, found[0]
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


def connect(url):
    place = urlsplit(url)
    connection = socket.create_connection((place.hostname, place.port))
    connection.settimeout(30)
    return connection


def answer_of(connection):
    """All that comes until the connection is closed, or until a whole problem is there."""
    content = b""
    while not content.endswith(b"}"):
        piece = connection.recv(65536)
        if not piece:
            break
        content += piece
    return content


def resident(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


@pytest.mark.slow
def test_slow_and_large_requests(index):
    with serving(index) as (process, url):
        slow = [partial(_slow_head, url, beginning) for beginning in HEADS]
        slow += [partial(_slow_body, url, *body) for body in BODIES]
        with ThreadPoolExecutor(len(slow)) as pool:  # each waits for its own timeout
            for done in [pool.submit(client) for client in slow]:
                done.result()
        _next_request(url)
        _large_uploads(url, process)
        assert len(Client(url)) == 12


FORM = "multipart/form-data; boundary=x"
HEADS = (b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
BODIES = (
    ("/v1/search", "application/json", b'{"text": "'),
    ("/v1/search/photo", FORM, PART),
    ("/v1/items", FORM, PART),
)


def _slow_head(url, beginning):
    with connect(url) as slow:
        slow.sendall(beginning)
        start = time.monotonic()
        with pytest.raises(ConnectionError):  # disconnected, however often a line comes
            while time.monotonic() < start + 20:
                slow.sendall(b"X-More: 1\r\n" if beginning else b"")
                slow.settimeout(0.2)
                try:
                    if slow.recv(1) == b"":
                        raise ConnectionResetError
                except TimeoutError:
                    continue
        assert 0.8 < time.monotonic() - start < 15


def _next_request(url):
    """The next request of a connection has as much time as the first one."""
    with connect(url) as patient:
        for _ in range(2):
            patient.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer_of(patient).startswith(b"HTTP/1.1 200")


def _slow_body(url, path, kind, beginning):
    with connect(url) as slow:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
            f"X-API-Key: {KEY}\r\nContent-Length: 100000\r\n\r\n"
        )
        slow.sendall(head.encode() + beginning)
        start = time.monotonic()
        slow.settimeout(0.2)
        answer = b""
        while not answer and time.monotonic() < start + 20:
            slow.sendall(b"-")
            try:
                answer = slow.recv(65536)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 504"), (path, answer)
        assert 0.8 < time.monotonic() - start < 15
        # It does not stop sending, and is disconnected.
        with pytest.raises(ConnectionError):
            for _ in range(200):
                slow.sendall(b"-")
                time.sleep(0.05)


def _large_uploads(url, process):
    """100 MB: refused at once where the head says so; else read no further than is allowed."""
    megabyte = b" " * 2**20
    before = resident(process)
    for declared in (True, False):
        for path in ("/v1/search/photo", "/v1/items"):
            with connect(url) as sender:
                length = (
                    f"Content-Length: {100 * 2**20}" if declared else "Transfer-Encoding: chunked"
                )
                head = (
                    f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n{length}\r\n"
                    "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
                )
                sender.sendall(head.encode())
                if declared:
                    assert answer_of(sender).startswith(b"HTTP/1.1 413")
                try:
                    for number in range(100):
                        data = PART + megabyte if number == 0 else megabyte
                        chunk = data if declared else b"%x\r\n%s\r\n" % (len(data), data)
                        sender.sendall(chunk)
                except ConnectionError:
                    continue  # disconnected in the middle
                if not declared:
                    answer = answer_of(sender)
                    assert answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 504")), answer
    assert resident(process) < before + 50


@pytest.mark.slow
def test_requests_under_way_are_answered_when_the_service_ends(index):
    queries = [Query(f"a red photo of {number} dogs") for number in range(200)]
    with (
        serving(index, CODE.replace("1.0", "30.0")) as (process, url),
        ThreadPoolExecutor(24) as pool,
    ):
        client = Client(url)
        expected = [hit.id for hit in client.search("a red photo of 0 dogs", 12)]
        body = json.dumps({"queries": [{"text": query.text} for query in queries[:32]], "k": 12})
        request = (
            "POST /v1/search/batch HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        connections = [connect(url) for _ in range(24)]
        for connection in connections:
            connection.sendall(request)
        asked = time.monotonic()
        while _inside(url) < 12:
            assert time.monotonic() < asked + 20, "the requests never were under way at once"
        process.send_signal(signal.SIGTERM)
        contents = list(pool.map(_all_of, connections))
        assert process.wait(60) in (0, -signal.SIGTERM)
    for content in contents:
        head, _, answer = content.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        results = json.loads(answer)["results"]
        assert len(results) == 32
        assert {hit["id"] for hit in results[0]["hits"]} == set(expected)
    with pytest.raises(ConnectionRefusedError):
        connect(url)


def _inside(url):
    with connect(url) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        found = re.search(rb'hgan_work_inside\{kind="texts"\} (\d+)', _all_of(connection))
    return int(found[1])


def _all_of(connection):
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))
