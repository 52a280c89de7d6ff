"""Errors on the page: what it shows, and that it recovers by itself."""

import re

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import KEY
from tests.e2e.looks import TILES, field, loaded, search, shown

pytestmark = pytest.mark.slow


def test_a_service_that_is_away_and_comes_back(page: Page):
    found = search(page, "a dog")
    page.context.set_offline(True)
    field(page).fill("a boat")
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text("The service does not respond")
    expect(notice).to_contain_text(re.compile(r"Trying again in \d s"))
    expect(page.locator(TILES)).to_have_count(0)
    page.context.set_offline(False)
    notice.get_by_role("button", name="Try now").click()
    expect(page.locator(TILES)).to_have_count(48)
    expect(notice).to_be_hidden()
    assert shown(page) != found


def test_without_a_network_the_page_opens_and_says_so(page: Page):
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    kept = "caches.open('shell').then((cache) => cache.keys())"
    page.wait_for_function(f"{kept}.then((files) => files.length > 20)")
    page.context.set_offline(True)
    page.reload()
    expect(field(page)).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("The service does not respond")
    names = page.evaluate(f"{kept}.then((files) => files.map((file) => file.url))")
    assert len(names) > 20
    assert not any("/v1/" in name for name in names)  # no photos and no results
    page.context.set_offline(False)
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_role("heading", name="111 photos")).to_be_visible()


def test_the_next_page_is_asked_for_again(page: Page):
    search(page, "a dog")
    page.context.set_offline(True)
    page.mouse.wheel(0, 20_000)
    expect(page.get_by_role("alert")).to_contain_text("The service does not respond")
    expect(page.locator(TILES)).to_have_count(48)
    page.context.set_offline(False)
    expect(page.locator(TILES)).to_have_count(96)  # by itself
    expect(page.get_by_role("alert")).to_be_hidden()


def test_an_upload_that_is_no_photo(page: Page, tmp_path):
    (tmp_path / "letter.jpg").write_text("no photo")
    page.locator("input.file").set_input_files(tmp_path / "letter.jpg")
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text("We can’t read this file")
    expect(notice).to_contain_text("letter.jpg")
    notice.get_by_role("button", name="Remove the photo").click()
    expect(page.get_by_role("heading", name="111 photos")).to_be_visible()
    expect(notice).to_be_hidden()


def test_a_photo_of_ones_own_is_in_no_link(page: Page, tab, library):
    page.locator("input.file").set_input_files(library / "tagged.jpg")
    expect(page.locator(TILES)).to_have_count(48)
    other = tab(page.url)
    expect(other.get_by_role("alert")).to_contain_text("The photo of this search is missing")
    other.locator("input.file").set_input_files(library / "tagged.jpg")
    expect(other.locator(TILES)).to_have_count(48)
    expect(other.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("?like=00000000-0000-0000-0000-000000000000", "no longer in the index"),
        ("?like=nonsense", "This search is not valid"),
        ("?q=a+dog&folder=../..", "This search is not valid"),
        ("?q=%E2%80%8B", "This search is not valid"),
        ("?q=a+dog&folder=nowhere", "No photos match these filters"),
    ],
)
def test_addresses_that_make_no_sense(tab, address, asked, said):
    page = tab(address + asked)
    expect(page.get_by_role("alert")).to_contain_text(said)
    page.get_by_role("link", name="Start page").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    assert len(search(page, "a dog in the grass")) == 48


def test_what_is_found_is_text_and_never_a_page(tab, address):
    page = tab(f"{address}?q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&folder=%3Cb%3Ehere%3C/b%3E")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(field(page)).to_have_value("<img src=x onerror=alert(1)>")
    assert page.locator("main b, main img[src=x]").count() == 0


def test_a_service_that_wants_a_key_and_has_a_rate(serve, tab):
    page = tab(serve("--require-key", "--rate", "4"))
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text("This service requires a key")
    key = page.get_by_label("Key", exact=True)
    expect(key).to_be_focused()
    key.fill("a wrong key")
    key.press("Enter")
    expect(notice).to_contain_text("This key is not valid")
    key.fill(KEY)
    key.press("Enter")
    expect(page.get_by_role("heading", name="111 photos")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 1
    assert KEY not in page.evaluate("JSON.stringify(localStorage)") + page.url
    # The examples were more than the rate allows: the search waits for its turn, and gets it.
    field(page).fill("a dog in the snow")
    expect(page.locator(TILES)).to_have_count(48)
    loaded(page, f"{TILES} img")
    source = page.locator(f"{TILES} img.shown").first.get_attribute("src")
    assert source.startswith("blob:")


def test_too_many_questions_and_a_countdown(serve, tab):
    address = serve("--rate", "0.5")
    page = tab(address)
    while page.request.get(f"{address}v1/status").status != 429:  # until nothing is left
        pass
    field(page).fill("a dog in the snow")
    expect(page.get_by_role("alert")).to_contain_text("Too many requests")
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"Trying again in \d s"))
    expect(page.locator(TILES)).to_have_count(48)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_link_that_is_opened_while_the_service_is_busy(page: Page, tab):
    search(page, "a dog")
    page.locator(TILES).first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    other = tab()
    failed = []

    def refuse(route: Route) -> None:
        if failed:
            return route.continue_()
        failed.append(route.request.url)
        return route.abort()

    other.route("**/v1/status", refuse)
    other.goto(page.url)
    expect(other.locator(TILES)).to_have_count(48)
    expect(other.get_by_role("dialog")).to_be_visible(timeout=15_000)
    assert failed
