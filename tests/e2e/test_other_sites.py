"""Pages of other sites in a real browser: they can neither see nor use the service."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from hgan.client import Client

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ASK = """async ([url, key]) => {
  const image = (path) => new Promise((done) => {
    const element = new Image();
    element.onload = () => done("loaded");
    element.onerror = () => done("error");
    element.src = url + path;
  });
  const text = async (path, options) => {
    try {
      return (await (await fetch(url + path, options)).text()).slice(0, 20);
    } catch {
      return "error";
    }
  };
  const script = (path) => new Promise((done) => {
    const element = document.createElement("script");
    element.onload = () => done("loaded");
    element.onerror = () => done("error");
    element.src = url + path;
    document.head.append(element);
  });
  const json = { "Content-Type": "application/json" };
  return {
    photo: await image(`v1/items/${key}/photo`),
    thumbnail: await image(`v1/items/${key}/thumbnail`),
    status: await text("v1/status"),
    blind: await script("v1/status"),
    page: await script("web/app.js"),
    search: await text("v1/search", { method: "POST", headers: json, body: '{"text": "red"}' }),
    remove: await text(`v1/items/${key}`, { method: "DELETE" }),
  };
}"""


@contextmanager
def site() -> Iterator[int]:
    """The port of another web server of this machine, with an empty page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = b"<!doctype html><title>evil</title>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])  # same-site and cross-site
def test_a_page_of_another_site(browser: "Browser", address: str, host: str) -> None:
    with Client(address) as client:
        [hit] = client.search("a photo", 1)
    # Not a tab of the fixture: that the browser complains is what is wanted here.
    page = browser.new_page()
    try:
        with site() as port:
            page.goto(f"http://{host}:{port}/")
            there = page.evaluate(ASK, [address, hit.id])
            nowhere = page.evaluate(ASK, [address, str(uuid4())])
        page.goto(address)
        same = page.evaluate(ASK, [address, hit.id])
    finally:
        page.close()
    assert set(there.values()) == {"error"}
    assert nowhere == there
    assert (same["photo"], same["thumbnail"]) == ("loaded", "loaded")
    assert same["search"].startswith('{"hits"')
