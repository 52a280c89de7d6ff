"""What a cluster cannot do is refused before any work."""

import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hgan.cli import main
from hgan.errors import ConfigError
from hgan.index.distributed.cluster import connected
from hgan.index.distributed.run import index_on_ray
from hgan.runtime.bundle import Bundle

PLACE = "http://127.0.0.1:9/photos"


def test_an_index_in_a_folder(photos: Path, tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match=r"one process only.*--to http://qdrant"):
        index_on_ray(photos, tmp_path / "index", bundle)
    assert not (tmp_path / "index").exists()


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'hgan\[ray\]'"), connected(None):
        pass


@pytest.mark.parametrize("address", ["10.0.0.1", "ray://h:1", ":6379", "h:0", "h:99999", "h:six"])
def test_addresses_that_are_none(address: str) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'hgan[ray]'")
    with pytest.raises(ConfigError, match="write HOST:PORT of its head"), connected(address):
        pass


def test_nothing_answers() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'hgan[ray]'")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        pytest.raises(
            ConfigError, match=f"no Ray cluster answers .*ray start --head --port {port}"
        ),
        connected(f"127.0.0.1:{port}"),
    ):
        pass


def test_something_else_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says nothing, and one of HTTP/1; Ray itself would try for two minutes."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'hgan[ray]'")
    monkeypatch.setattr("hgan.index.distributed.cluster.CONNECT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ConfigError, match=r"no Ray cluster answers \(timed out"):
            connected(address).__enter__()
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as web:
        threading.Thread(target=web.handle_request, daemon=True).start()
        with pytest.raises(ConfigError, match="not Ray"):
            connected(f"127.0.0.1:{web.server_port}").__enter__()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--address", "h:6379"], "add --engine ray"),
        (["--engine", "ray", "--watch"], "--watch runs on this machine only"),
        (["--engine", "ray", "--estimate"], "--estimate runs on this machine only"),
        (["--engine", "ray", "--to", "here.index"], "one process only"),
        (["--engine", "ray", "--to", PLACE, "--part", "3/2"], "--part 3/2"),
    ],
)
def test_options(
    words: list[str], reason: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", str(photos), *words]) == 2
    assert reason in capsys.readouterr().err


def test_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "texts.txt").write_text("a dog\n")
    assert main(["index", str(tmp_path / "texts.txt"), "--engine", "ray", "--to", PLACE]) == 2
    assert "--engine is only for photos" in capsys.readouterr().err
