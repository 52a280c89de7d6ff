"""The look of the page: light and dark, on a phone, under a prefix, for screen readers."""

import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright")
pytest.importorskip("axe_playwright_python")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from tests.e2e.looks import TILES, field, loaded, search

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
WORDS = "two dogs playing"


def start(page: Page) -> None:
    """Whole rows of examples, each with its photo; fewer than a row if few are strong matches."""
    page.wait_for_function(
        """() => {
          const cards = document.querySelectorAll(".card").length;
          const shown = document.querySelectorAll(".card img.shown").length;
          const ready = document.querySelector(".welcome h1") !== null;
          return ready && (cards < 3 || cards % 3 === 0) && shown === cards;
        }"""
    )


def results(page: Page) -> None:
    search(page, WORDS)
    loaded(page, f"{TILES} img")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Without").fill("grass")
    expect(page.get_by_role("button", name="Remove the filter: without grass")).to_be_visible()


def selected(page: Page) -> None:
    search(page, WORDS)
    page.get_by_role("checkbox", name="Select photo 2", exact=True).check()
    expect(page.get_by_role("region", name="Selected photos")).to_be_visible()


def past(page: Page) -> None:
    for text in ("a boat", "a dog"):
        search(page, text)
        page.keyboard.press("Enter")
    field(page).fill("")
    expect(page.get_by_role("option")).to_have_count(2)
    field(page).press("ArrowDown")


def suggestions(page: Page) -> None:
    search(page, "a dog folder:2023 -grass without people")
    expect(page.get_by_role("list", name="Understood").get_by_role("listitem")).to_have_count(3)
    field(page).press_sequentially(" in:")
    expect(page.get_by_role("option").first).to_be_visible()
    field(page).press("ArrowDown")


def detail(page: Page) -> None:
    search(page, "a child with a ball and a kite")
    page.locator(TILES).first.click()
    expect(page.locator(".slots li")).to_have_count(4)
    page.get_by_role("dialog").get_by_role("button", name="ball").focus()
    expect(page.locator(".frame.lit")).to_be_visible()


def trouble(page: Page) -> None:
    page.goto(page.url + "?q=a+dog&folder=nowhere")
    expect(page.get_by_role("alert")).to_be_visible()


def brightness(page: Page) -> float:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


STATES = (start, results, selected, past, suggestions, detail, trouble)


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_axe_finds_nothing(tab, address, state):
    page = tab(address, color_scheme="light")
    state(page)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert (brightness(page) < 40) is (theme == "dark")
        found = Axe().run(page).response
        assert len(found["passes"]) > 15
        wrong = [
            (one["id"], one["impact"], [node["html"][:200] for node in one["nodes"]])
            for one in found["violations"]
        ]
        assert not wrong, json.dumps(wrong, indent=1)


@pytest.mark.slow
def test_axe_would_find_something(page: Page):
    """The check above can fail."""
    page.evaluate("document.querySelector('#words').removeAttribute('aria-label')")
    page.evaluate("document.querySelector('#words').removeAttribute('placeholder')")
    page.evaluate("document.querySelector('.pick').removeAttribute('aria-label')")
    page.evaluate("document.querySelector('.pick').removeAttribute('title')")
    found = {one["id"]: one["impact"] for one in Axe().run(page).response["violations"]}
    assert found.get("button-name") == "critical"


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_on_a_phone_nothing_is_wider_than_the_screen(tab, address, state):
    page = tab(address, **PHONE)
    state(page)
    wide = page.evaluate(
        """() => [...document.querySelectorAll("body *")].filter((one) => {
          const { left, right, width, height } = one.getBoundingClientRect();
          return width && height && (left < -1 || right > innerWidth + 1) && !one.closest("svg");
        }).map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert not wide
    assert page.evaluate("document.scrollingElement.scrollWidth") == 360
    if state is results:
        # Measured at one moment, since the page can move while photos load.
        first, second, *_ = page.locator(TILES).evaluate_all(
            "all => all.map((one) => one.getBoundingClientRect().y)"
        )
        assert first == second  # side by side
    # What fingers press is large enough for them.
    for name in ("Search with a photo", "Filters"):
        button = page.locator(f"button[aria-label='{name}']").bounding_box()
        assert min(button["width"], button["height"]) >= 36


@pytest.mark.slow
def test_light_and_dark_as_the_system_has_it_and_as_one_likes_it(tab, address):
    page = tab(address, color_scheme="dark")
    assert brightness(page) < 40
    page.get_by_role("button", name="Use light colours").click()
    assert brightness(page) > 230
    page.reload()
    assert brightness(page) > 230
    page.get_by_role("button", name="Use dark colours").click()
    assert brightness(page) < 40
    assert brightness(tab(address, color_scheme="light")) > 230


def test_tiles_do_not_move_when_their_photos_come(page: Page):
    held: list[Route] = []
    page.route("**/thumbnail?*", lambda route: held.append(route))
    search(page, WORDS)
    before = page.locator(TILES).nth(9).bounding_box()
    page.wait_for_timeout(200)
    assert held
    page.unroute("**/thumbnail?*")  # which lets them go on
    loaded(page, f"{TILES} img")
    assert page.locator(TILES).nth(9).bounding_box() == before


PREFIX = "/all/photos"


@pytest.fixture
def proxied(address) -> Iterator[tuple[str, list[str]]]:
    """Behind a proxy that takes a prefix off, and the paths that it was asked for; the service
    knows nothing of it."""
    asked = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if not self.path.startswith(f"{PREFIX}/"):
                return self.send_error(404)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            inside = HTTPConnection(urlsplit(address).netloc)
            inside.request(self.command, self.path.removeprefix(PREFIX), body, dict(self.headers))
            answer = inside.getresponse()
            content = answer.read()
            inside.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_arguments: object) -> None:
            """It says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}/", asked
        server.shutdown()


@pytest.mark.slow
def test_under_the_prefix_of_a_proxy(tab, proxied):
    url, asked = proxied
    page = tab(url)
    start(page)
    search(page, WORDS)
    loaded(page, f"{TILES} img")
    page.locator(TILES).first.click()
    expect(page.locator(".slots li")).to_have_count(4)
    page.reload()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Start page").click()
    expect(page).to_have_url(url)
    assert f"{PREFIX}/v1/explain" in asked
    assert all(path.startswith(f"{PREFIX}/") for path in asked)
