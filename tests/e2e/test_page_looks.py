"""How the page looks: light and dark, on a phone, under a prefix, and to who cannot see it."""

import json
import re
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
    expect(page.locator(".card img.shown")).to_have_count(6)


def results(page: Page) -> None:
    search(page, WORDS)
    loaded(page, f"{TILES} img")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Without").fill("grass")
    expect(page.get_by_role("button", name="Remove the filter: without grass")).to_be_visible()


def past(page: Page) -> None:
    for text in ("a boat", "a dog"):
        search(page, text)
        page.keyboard.press("Enter")
    field(page).fill("")
    expect(page.get_by_role("option")).to_have_count(2)
    field(page).press("ArrowDown")


def detail(page: Page) -> None:
    search(page, WORDS)
    page.locator(TILES).first.click()
    expect(page.locator(".slots li")).to_have_count(4)
    page.get_by_role("dialog").get_by_role("button", name="dogs").focus()
    expect(page.locator(".frame.lit")).to_be_visible()


def trouble(page: Page) -> None:
    page.goto(page.url + "?q=a+dog&folder=nowhere")
    expect(page.get_by_role("alert")).to_be_visible()


STATES = (start, results, past, detail, trouble)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_axe_finds_nothing_serious(tab, address, state, theme):
    page = tab(address, color_scheme=theme)
    state(page)
    found = Axe().run(page).response
    assert len(found["passes"]) > 15
    serious = [
        (one["id"], one["impact"], [node["html"][:200] for node in one["nodes"]])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert not serious, json.dumps(serious, indent=1)


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
        first, second = (page.locator(TILES).nth(place).bounding_box() for place in (0, 1))
        assert first["y"] == second["y"]  # side by side
    # What fingers press is large enough for them.
    for name in ("Search with a photo", "Filters"):
        button = page.locator(f"button[aria-label='{name}']").bounding_box()
        assert min(button["width"], button["height"]) >= 36


def brightness(page: Page) -> float:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


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


def test_under_the_prefix_of_a_proxy(tab, address):
    """The proxy takes the prefix off; the service knows nothing of it."""
    page = tab()
    asked = []

    def proxy(route: Route) -> None:
        path = urlsplit(route.request.url)
        asked.append(path.path)
        if not path.path.startswith("/all/photos/"):
            return route.abort()
        inside = path._replace(path=path.path.removeprefix("/all/photos")).geturl()
        return route.fulfill(response=route.fetch(url=inside))

    page.route("**/*", proxy)
    page.goto(f"{address}all/photos/")
    start(page)
    search(page, WORDS)
    loaded(page, f"{TILES} img")
    page.locator(TILES).first.click()
    expect(page.locator(".slots li")).to_have_count(4)
    page.reload()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Start page").click()
    expect(page).to_have_url(f"{address}all/photos/")
    assert "/all/photos/v1/explain" in asked
    assert all(path.startswith("/all/photos/") for path in asked)
