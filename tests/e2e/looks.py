"""Helpers for the tests of the page."""

from playwright.sync_api import Locator, Page, Response, expect

TILES = "#grid a"


def field(page: Page) -> Locator:
    """Where words are typed."""
    return page.get_by_role("combobox", name="What the photos show")


def search(page: Page, text: str) -> list[str]:
    """Type words, wait for what they find, and return the ids."""
    with page.expect_response(lambda answer: asked(answer).get("q") == text) as answer:
        field(page).fill(text)
    found = [hit["id"] for hit in answer.value.json()["hits"]]
    expect(page.locator(TILES)).to_have_count(len(found))
    assert shown(page) == found
    return found


def asked(answer: Response) -> dict[str, object]:
    """What a search for a page of photos asked for; nothing for whatever is none."""
    if not answer.url.endswith("/v1/search"):
        return {}
    body = answer.request.post_data_json
    return body if body["k"] == 48 else {}


def shown(page: Page) -> list[str]:
    """The ids of the photos in the grid, in order."""
    return page.eval_on_selector_all(TILES, "tiles => tiles.map((tile) => tile.dataset.id)")


def loaded(page: Page, selector: str) -> None:
    """Wait until an image is there."""
    page.wait_for_function(
        "s => { const i = document.querySelector(s); return i?.complete && i.naturalWidth > 0; }",
        arg=selector,
    )
