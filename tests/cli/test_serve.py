"""`hgan serve` as a process: it indexes, prints its address, and stops when it is told to."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hgan.cli.serve import SERVE, _has_browser
from hgan.client import Client
from hgan.errors import ConfigError, IndexingError
from hgan.index.indexer import index_folder
from hgan.search.searcher import open_index
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import write_tiny_bundle

CODE = """
import sys
from hgan.cli import VERBS, main
from hgan.cli.serve import SERVE, _has_browser
sys.exit(main(["serve", *sys.argv[1:]]))
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name, colour in COLOURS.items():
        save_photo(tmp_path / f"photos/{name}.png", colour)
    return tmp_path / "photos"


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"HGAN_API_KEYS": "a key that is long enough"},
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_service_from_its_start_to_its_end(photos, tmp_path):
    bundle = write_tiny_bundle(tmp_path / "bundle")
    index_folder(photos, tmp_path / "index", bundle)
    with start(tmp_path / "index", "--port", "0", "--root-path", "/all") as process:
        try:
            line = process.stdout.readline()
            found = re.fullmatch(r"3 photos at (http://127\.0\.0\.1:\d+)\n", line)
            assert found, line + process.stderr.read()
            assert Client(found[1]).search("green", 1)[0].path == Path("green.png")
            with pytest.raises(IndexingError, match="another process is using this index"):
                open_index(tmp_path / "index", bundle)
        finally:
            process.send_signal(signal.SIGINT)
            _, logged = process.communicate(timeout=60)
    assert process.returncode == 0, logged
    assert '"route": "/v1/search", "status": 200' in logged
    open_index(tmp_path / "index", bundle).close()


def run(*arguments: object) -> int:
    verb = SERVE
    parser = verb.parser("serve")
    return verb.run(parser, parser.parse_args([str(argument) for argument in arguments]))


def test_a_port_that_is_taken(photos, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: cannot listen there"):
            run(photos, "--index", tmp_path / "index", "--port", port)
    assert not (tmp_path / "index").exists()


def test_what_cannot_be_served(photos, tmp_path, monkeypatch):
    with pytest.raises(IndexingError, match="no index here"):
        run("--index", tmp_path / "none", "--port", 0)
    with pytest.raises(ConfigError, match="omit --index"):
        run("http://localhost:1/photos", "--index", tmp_path / "index", "--port", 0)
    with pytest.raises(ConfigError, match="must look like /photos"):
        run(photos, "--root-path", "photos/", "--port", 0)
    with pytest.raises(ConfigError, match="HGAN_API_KEYS"):
        monkeypatch.delenv("HGAN_API_KEYS", raising=False)
        run(photos, "--index", tmp_path / "index", "--require-key", "--port", 0)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="terminals")
@pytest.mark.parametrize("leave", [False, True])
def test_the_page_opens_where_somebody_sits_at_a_terminal(photos, tmp_path, leave):
    """A real pseudo-terminal, and as the browser a program that notes what it is asked to show."""
    import pty

    index_folder(photos, tmp_path / "index", write_tiny_bundle(tmp_path / "bundle"))
    browser = tmp_path / "browser"
    asked = tmp_path / "asked"
    browser.write_text(f'#!/bin/sh\necho "$1" > {asked}.new\nmv {asked}.new {asked}\n')
    browser.chmod(0o755)
    ours, theirs = pty.openpty()
    options = ["--port", "0", *(["--no-browser"] if leave else [])]
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, tmp_path / "index", *options],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"BROWSER": f"{browser} %s", "DISPLAY": ":99"},
    )
    try:
        os.close(theirs)
        url = os.read(ours, 1000).decode().split()[-1]
        assert Client(url).search("green", 1)
        wait_until = time.monotonic() + (1 if leave else 30)
        while not asked.exists() and time.monotonic() < wait_until:
            time.sleep(0.05)
        assert asked.exists() is not leave
        if not leave:
            assert asked.read_text().strip() == url
    finally:
        process.terminate()
        process.wait(60)
        os.close(ours)


def test_no_page_opens_for_others_or_without_a_terminal_and_a_screen(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    assert _has_browser("127.0.0.1") and _has_browser("::1")
    assert not _has_browser("0.0.0.0")
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not _has_browser("127.0.0.1")  # it would be a browser in this very terminal
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert not _has_browser("127.0.0.1")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_folder_of_photos_is_indexed_first_with_the_model_that_ships(photos, tmp_path):
    (photos / "broken.jpg").write_text("no photo")
    with start(photos, "--index", tmp_path / "index", "--port", "0") as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("3 photos at http://127.0.0.1:"), process.stderr.read()
            assert len(Client(line.split()[-1]).search("something green", 5)) == 3
        finally:
            process.send_signal(signal.SIGINT)
            _, logged = process.communicate(timeout=60)
    assert process.returncode == 0, logged
    assert "skipped broken.jpg" in logged
