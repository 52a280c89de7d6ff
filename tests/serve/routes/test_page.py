"""The page's files over HTTP: all of them, with the right headers, and nothing else."""

import io
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from PIL import Image

from hgan.serve.routes.page import page_files

ROOT = Path(__file__).parents[3]
WEB = files("hgan.serve").joinpath("web")
NAMES = sorted(file.name for file in WEB.iterdir())
TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "png": "image/png",
    "webmanifest": "application/manifest+json",
    "txt": "text/plain",
    "woff2": "font/woff2",
}
TEXTS = [name for name in NAMES if not name.endswith((".png", ".txt", ".woff2"))]
IMPORT = re.compile(r'^import .*? from "\./([a-z]+\.js)";$', re.M | re.S)


def text(name: str) -> str:
    return WEB.joinpath(name).read_text(encoding="utf-8")


def test_every_file_is_served_as_what_it_is(client):
    assert "app.js" in NAMES and "base.css" in NAMES
    assert sorted(page_files()) == NAMES
    for name in NAMES:
        answer = client.get(f"/web/{name}")
        assert answer.status_code == 200
        assert answer.content == WEB.joinpath(name).read_bytes()
        assert answer.headers["content-type"].split(";")[0] == TYPES[name.rsplit(".")[-1]]
        assert answer.headers["x-content-type-options"] == "nosniff"
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text == text("index.html")


def test_what_the_browser_may_do_with_it(client):
    for place in ("/", "/web/app.js", "/web/icon.svg"):
        headers = client.get(place).headers
        policy = dict(
            directive.split(" ", 1) for directive in headers["content-security-policy"].split("; ")
        )
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"


def test_the_font_is_small_with_its_licence_and_no_first_paint_waits_for_it(client):
    assert len(WEB.joinpath("inter.woff2").read_bytes()) < 100_000
    assert "SIL OPEN FONT LICENSE Version 1.1" in text("inter-license.txt")
    assert "font-display: swap" in text("base.css")
    policy = client.get("/").headers["content-security-policy"]
    assert "font-src 'self';" in policy


def test_it_is_sent_again_only_after_it_has_changed(client):
    first = client.get("/web/app.js")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for known in (tag, f'"other", {tag}', f"W/{tag}"):
        again = client.get("/web/app.js", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get("/web/app.js", headers={"if-none-match": '"other"'}).status_code == 200
    assert client.get("/", headers={"if-none-match": tag}).status_code == 200
    head = client.head("/web/app.js")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)
    # Browsers ask for the icon with every key.
    assert client.get("/web/icon.svg").headers["cache-control"] == "max-age=86400"


@pytest.mark.parametrize(
    "name", ["none.js", "", "..%2Fpage.py", "%2e%2e/page.py", "a/b.js", "app.js/", "%00"]
)
def test_names_that_are_no_files_of_the_page(client, name):
    answer = client.get(f"/web/{name}")
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_it_is_no_part_of_the_interface(client):
    described = client.get("/openapi.json").json()["paths"]
    assert "/v1/search" in described
    assert not [path for path in described if path == "/" or path.startswith("/web")]


def test_links_are_relative_and_requests_go_to_this_service_only():
    page = text("index.html")
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", page)
    named = re.findall(r'(?:src|href)="([^"#]*)"', page)
    assert all(name == "./" or name.removeprefix("web/") in NAMES for name in named)
    for name in TEXTS:
        for address in re.findall(r"https?://[^\s\"']+|[\"'(]//[^\s\"']+", text(name)):
            assert address == "http://www.w3.org/2000/svg", f"{name} names {address}"
        # From the root of a server, it would be lost under a prefix.
        assert not re.search(r"[\"'(`]/(?:web|v1)\b", text(name)), name


def test_modules_are_loaded_at_once_and_not_one_after_another():
    preloaded = set(re.findall(r'modulepreload" href="web/([^"]+)"', text("index.html")))
    imported = {module for name in TEXTS for module in IMPORT.findall(text(name))}
    assert preloaded == imported
    others = {"app.js", "theme.js", "worker.js"}
    assert imported | others == {name for name in NAMES if name.endswith(".js")}


def test_the_page_is_loaded_whatever_the_rate(serve):
    client = serve(rate=1)
    for _ in range(3):
        assert all(client.get(f"/web/{name}").status_code == 200 for name in NAMES)
        assert client.get("/").status_code == 200
    asked = [client.post("/v1/search", json={"text": "red"}).status_code for _ in range(4)]
    assert 429 in asked


@pytest.mark.slow
def test_the_wheel_has_it(tmp_path):
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*command, tmp_path / "there", ROOT], check=True)
    installed = tmp_path / "there/hgan/serve/web"
    assert sorted(file.name for file in installed.iterdir()) == NAMES


def test_it_can_be_installed_as_an_app(client):
    manifest = client.get("/web/manifest.webmanifest").json()
    assert manifest["start_url"] == manifest["scope"] == "../"
    assert manifest["display"] == "standalone"
    for icon in manifest["icons"]:
        answer = client.get(f"/web/{icon['src']}")
        assert answer.headers["content-type"] == icon["type"]
        if icon["type"] == "image/png":
            size = Image.open(io.BytesIO(answer.content)).size
            assert icon["sizes"] == "{}x{}".format(*size)
    assert {"192x192", "512x512"} <= {icon["sizes"] for icon in manifest["icons"]}


def test_only_the_service_worker_may_control_the_page(client):
    assert client.get("/web/worker.js").headers["service-worker-allowed"] == "../"
    assert "service-worker-allowed" not in client.get("/web/app.js").headers
