"""The examples of docs/serving.md with a running service, and with its proxy if nginx is here."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hgan.client import Client
from tests.fixtures.photos import save_photo
from tests.fixtures.qdrant_process import free_port

ROOT = Path(__file__).parents[2]
KEY = "a key that the examples use"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
BLOCKS = BLOCK.findall((ROOT / "docs/serving.md").read_text())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of `hgan serve`, as it is started in the documentation, below /find."""
    place = tmp_path_factory.mktemp("service")
    for number in range(6):
        save_photo(place / f"photos/{number}.jpg", (200, 40 * number, 0), seed=number)
    port = free_port()
    words = ["serve", "photos", "--index", "index", "--port", str(port), "--root-path", "/find"]
    environment = os.environ | {"HGAN_API_KEYS": KEY}
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hgan", *words],
            cwd=place,
            env=environment,
            stderr=log,
            stdout=-1,
        )
        try:
            assert process.stdout is not None
            assert b"6 photos at" in process.stdout.readline()
            yield f"localhost:{port}"
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.slow
def test_examples_of_the_api(service: str, tmp_path: Path) -> None:
    [examples] = [text for kind, text in BLOCKS if kind == "sh" and "/v1/search" in text]
    save_photo(tmp_path / "holiday.jpg", (200, 0, 0))
    # An error of the service is one of the script too.
    script = examples.replace("localhost:8000", service).replace("curl -sS", "curl -sSf -w '\\n'")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"KEY": KEY},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    assert answers[0]["photos"] == 6
    assert len(answers[1]["hits"]) == 3
    assert len(answers[-2]["words"]) == 2
    assert answers[-1]["path"] == "2024/holiday.jpg" and "sea" in answers[-1]["tags"]
    assert (tmp_path / "small.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert (tmp_path / "photo.jpg").stat().st_size > 500
    with Client(f"http://{service}") as client:
        assert len(client) == 6  # one was added, and the last example took one out
        assert len(client.search("two dogs in the snow", k=3)) == 3


def test_documented_figures_exist(service: str) -> None:
    from urllib.request import urlopen

    with urlopen(f"http://{service}/metrics") as answer:
        given = answer.read().decode()
    for name in re.findall(r"`(hgan_\w+)`", (ROOT / "docs/serving.md").read_text()):
        assert name in given, name


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_proxy_with_tls_and_a_prefix(service: str, tmp_path: Path) -> None:
    [server] = [text for kind, text in BLOCKS if kind == "nginx"]
    port = free_port()
    for shown, real in {
        "listen 443": f"listen 127.0.0.1:{port}",
        "127.0.0.1:8000": service.replace("localhost", "127.0.0.1"),
        "/etc/ssl": str(tmp_path),
    }.items():
        assert shown in server
        server = server.replace(shown, real)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    scratch = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {scratch}\n{server}}}\n"
    )
    names = ["-keyout", "photos.key", "-out", "photos.pem", "-subj", "/CN=localhost"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    nginx = ["nginx", "-c", str(tmp_path / "nginx.conf")]
    checked = subprocess.run([*nginx, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr

    def ask(path: str, *options: str) -> str:
        place = f"https://localhost:{port}{path}"
        words = ["curl", "-sSL", "--cacert", str(tmp_path / "photos.pem"), place, *options]
        return subprocess.run(words, capture_output=True, text=True).stdout

    process = subprocess.Popen(nginx, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if ask("/find/health"):
                break
            time.sleep(0.1)
        assert "<title>Photos</title>" in ask("/find")  # redirected to the page
        assert json.loads(ask("/find/openapi.json"))["info"]["title"] == "hgan"
        found = json.loads(ask("/find/v1/search", "--json", '{"text": "red", "k": 2}'))
        assert len(found["hits"]) == 2
        assert "403" in ask("/find/metrics")
        large = tmp_path / "large.jpg"
        large.write_bytes(bytes(21 * 2**20))
        assert "413" in ask("/find/v1/search/photo", "-F", f"photo=@{large}")
    finally:
        process.terminate()
        process.wait(30)
