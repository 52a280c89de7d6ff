"""The query language on the page: suggestions while typing, what was understood, and errors."""

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, Route, expect

from hgan.client import Client
from tests.e2e.looks import TILES, asked, field, search, shown

pytestmark = pytest.mark.slow


def test_conditions_in_the_line_are_chips(page: Page, address):
    line = "a dog folder:2023 -grass"
    found = search(page, line)
    assert found == [hit.id for hit in Client(address).ask(line, 48)]
    understood = page.get_by_role("list", name="Understood")
    expect(understood.get_by_role("listitem")).to_have_text(["folder 2023", "without grass"])
    with page.expect_response(lambda answer: asked(answer).get("q") == "a dog -grass"):
        page.get_by_role("button", name="Take off: folder 2023").click()
    expect(understood.get_by_role("listitem")).to_have_text(["without grass"])
    expect(field(page)).to_have_value("a dog -grass")
    expect(page.locator(TILES)).to_have_count(48)
    page.go_back()
    expect(field(page)).to_have_value(line)
    page.wait_for_function("n => document.querySelectorAll('#grid a').length === n", arg=len(found))
    assert shown(page) == found


def test_suggestions_are_taken_with_the_keyboard(page: Page):
    field(page).press_sequentially("🐕 cam")
    offers = page.get_by_role("listbox", name="Suggestions").get_by_role("option")
    expect(offers.first).to_have_text("camera:")
    field(page).press("ArrowDown")
    expect(field(page)).to_have_attribute("aria-activedescendant", "offer-0")
    field(page).press("Enter")
    expect(field(page)).to_have_value("🐕 camera:")
    expect(offers).to_have_text(['camera:"Canon EOS 5D"1 photo'])
    with page.expect_response(lambda answer: asked(answer).get("q") == '🐕 camera:"Canon EOS 5D" '):
        offers.first.click()
    expect(page.locator(TILES)).to_have_count(1)
    expect(page.get_by_role("listbox", name="Suggestions")).to_be_hidden()
    expect(field(page)).to_be_focused()
    field(page).press_sequentially("#fam")
    expect(offers.first).to_have_text("#family1 photo")
    field(page).press("Escape")
    expect(page.get_by_role("listbox", name="Suggestions")).to_be_hidden()


def test_suggestions_when_the_previous_ones_are_late(page: Page):
    def hold(route: Route) -> None:
        if route.request.post_data_json["q"] == "#fam":
            route.continue_()

    page.route("**/v1/suggest", hold)
    with page.expect_request(lambda request: '"#fa"' in (request.post_data or "")):
        field(page).press_sequentially("#fa")
    field(page).press("m")
    offers = page.get_by_role("listbox", name="Suggestions").get_by_role("option")
    expect(offers.first).to_have_text("#family1 photo")


def test_a_condition_that_is_not_valid(page: Page):
    field(page).fill("a dog rating:many")
    expect(page.get_by_role("alert")).to_contain_text("'rating:many': 'many' is not a rating")
    page.get_by_role("button", name="Search the words as they are").click()
    expect(field(page)).to_have_value('"a dog rating:many"')
    expect(page.locator(TILES)).to_have_count(48)
    expect(page.get_by_role("list", name="Understood").get_by_role("listitem")).to_have_count(0)


def test_conditions_that_no_photo_meets(page: Page):
    field(page).fill("a dog tag:gardn")
    expect(page.get_by_role("alert")).to_contain_text("No photos meet these conditions")
    expect(page.locator(".hint")).to_contain_text("No photo has the tag 'gardn'; there are garden")
    page.get_by_role("button", name="Search without conditions").click()
    expect(field(page)).to_have_value("a dog")
    expect(page.locator(TILES)).to_have_count(48)


def test_conditions_alone_are_browsed(page: Page, address):
    found = search(page, "folder:2023")
    with Client(address) as client:
        newest = [photo.id for photo in client.browse("folder=2023")]
    assert found == newest[:48]
    expect(page.locator("#grid h2")).not_to_have_count(0)
    expect(page.locator(".count")).to_have_text(f"All {len(newest)} photos")
    search(page, "folder:2023 a dog")
    expect(page.locator("#grid h2")).to_have_count(0)
