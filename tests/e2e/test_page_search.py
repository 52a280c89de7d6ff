"""Searching on the page: by words, by photo, by both, with filters, further pages, history."""

import base64
import re

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, Route, expect

from hgan.client import Client
from hgan.search.query import Query
from tests.e2e.looks import TILES, asked, field, loaded, search, shown

WORDS = "a dog running through the grass"
DROP = """([name, type, data, kind]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type }));
  const more = { bubbles: true, cancelable: true };
  if (kind === "paste") {
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried, ...more }));
  } else {
    for (const name of ["dragenter", "dragover", "drop"]) {
      document.dispatchEvent(new DragEvent(name, { dataTransfer: carried, ...more }));
    }
  }
}"""


def test_words_find_what_the_service_finds(page: Page, address):
    expect(page.get_by_role("heading", name="Search 111 photos by what they show")).to_be_visible()
    found = search(page, WORDS)
    assert found == [hit.id for hit in Client(address).search(WORDS, 48, fold=True)]
    expect(page.get_by_role("status").first).to_have_text(
        re.compile("Best first|nothing like this")
    )
    expect(page).to_have_url(re.compile(r"/\?q=a\+dog\+running\+through\+the\+grass$"))
    loaded(page, f"{TILES} img")
    tile = page.locator(TILES).first.bounding_box()
    sides = page.locator(f"{TILES} img").first.evaluate("i => i.naturalWidth / i.naturalHeight")
    assert tile["width"] / tile["height"] == pytest.approx(sides, rel=0.02)
    expect(page.locator(".welcome")).to_be_hidden()


def test_an_example_leads_to_its_photos(page: Page):
    example = page.get_by_role("list", name="Example searches").get_by_role("link").first
    words = example.inner_text()
    example.click()
    expect(field(page)).to_have_value(words)
    expect(page.locator(TILES).first).to_be_visible()


@pytest.mark.slow
def test_results_come_while_one_types_and_no_late_ones(page: Page):
    """Letter by letter; what is shown in the end belongs to all of them."""
    field(page).press_sequentially("a man on a bicycle", delay=25)
    with page.expect_response(lambda answer: asked(answer).get("q") == "a man on a bicycle red"):
        field(page).press_sequentially(" red", delay=25)
    page.wait_for_timeout(300)
    at_the_end = shown(page)
    assert search(page, "something else") != at_the_end
    assert search(page, "a man on a bicycle red") == at_the_end


def test_an_answer_that_comes_late_is_dropped(page: Page):
    held = []

    def hold(route: Route) -> None:
        if route.request.post_data_json["q"] == "slow":
            held.append(route)
        else:
            route.continue_()

    page.route("**/v1/search", hold)
    field(page).fill("slow")
    page.wait_for_timeout(200)
    assert len(held) == 1
    found = search(page, "a dog")
    held[0].continue_()
    page.wait_for_timeout(300)
    assert shown(page) == found
    assert field(page).input_value() == "a dog"


@pytest.mark.parametrize("way", ["pick", "drop", "paste"])
def test_a_photo_finds_itself(page: Page, library, way):
    photo = next(iter(sorted((library / "2024").iterdir())))
    with page.expect_response("**/v1/search/photo") as answer:
        if way == "pick":
            with page.expect_file_chooser() as chooser:
                page.get_by_role("button", name="Search with a photo").click()
            chooser.value.set_files(photo)
        else:
            data = base64.b64encode(photo.read_bytes()).decode()
            page.evaluate(DROP, [photo.name, "image/jpeg", data, way])
    assert answer.value.ok
    expect(page.locator(TILES).first).to_have_attribute("data-path", f"2024/{photo.name}")
    loaded(page, ".upload img")
    expect(page.locator(".drop")).to_be_hidden()
    page.get_by_role("button", name="Remove the photo").click()
    expect(page.locator(".welcome")).to_be_visible()


@pytest.mark.slow
def test_a_photo_and_words_with_a_share(page: Page, library):
    photo = next(iter(sorted((library / "2024").iterdir())))
    page.locator("input.file").set_input_files(photo)
    expect(page.locator(TILES).first).to_have_attribute("data-path", f"2024/{photo.name}")
    alone = shown(page)
    slider = page.get_by_role("slider", name="Weight of the photo")
    expect(slider).to_be_hidden()
    with page.expect_response("**/v1/search/photo"):
        field(page).fill("people on a beach")
    expect(slider).to_be_visible()
    with page.expect_response("**/v1/search/photo") as answer:
        slider.fill("0")
    page.wait_for_timeout(100)
    assert shown(page) == [hit["id"] for hit in answer.value.json()["hits"]] != alone
    page.get_by_role("button", name="Remove the photo").click()
    expect(slider).to_be_hidden()
    # With a share of 0, the photo counted nothing.
    with_none = [hit["id"] for hit in answer.value.json()["hits"]]
    expect(page.locator(TILES).first).to_have_attribute("data-id", with_none[0])
    page.wait_for_timeout(300)
    assert shown(page)[:10] == with_none[:10]


def test_a_large_photo_is_sent_small(page: Page, tmp_path, library):
    from PIL import Image

    with Image.open(library / "tagged.jpg") as photo:
        photo.resize((2600, 1950)).save(tmp_path / "large.bmp")
    assert (tmp_path / "large.bmp").stat().st_size > 10e6
    with page.expect_request("**/v1/search/photo") as request:
        page.locator("input.file").set_input_files(tmp_path / "large.bmp")
    assert request.value.response().ok
    assert int(request.value.header_value("content-length")) < 1e6
    expect(page.locator(TILES).first).to_have_attribute("data-path", re.compile("jpg"))


@pytest.mark.slow
def test_filters(page: Page, library):
    everything = search(page, WORDS)
    page.get_by_role("button", name="Filters").click()
    filters = page.get_by_role("form", name="Filters")
    filters.get_by_label("Folder").fill("2023")
    chips = page.get_by_role("list", name="Active filters")
    expect(chips.get_by_role("listitem")).to_have_text(["in 2023"])
    others = page.locator(f'{TILES}:not([data-path^="2023/beach/"])')
    expect(others).to_have_count(0)  # the first tile may be from this folder before the filter too
    expect(page.locator(TILES)).not_to_have_count(0)
    filters.get_by_label("Folder").fill("")
    filters.get_by_label("Camera").fill("canon")
    expect(page.locator(TILES)).to_have_count(1)
    filters.get_by_label("Taken from").fill("2023-06-30")
    filters.get_by_label("Taken until").fill("2023-06-30")
    filters.get_by_label("Tags").fill("garden, family")
    expect(page).to_have_url(re.compile("tag=garden&tag=family"))
    expect(page.locator(TILES)).to_have_count(1)
    expect(page.locator(TILES).first).to_have_attribute("data-path", "tagged.jpg")
    filters.get_by_label("Taken from").fill("2023-07-01")
    expect(page.get_by_role("alert")).to_contain_text("No photos match these filters")
    page.get_by_role("button", name="Remove the filter: from 2023-07-01").click()
    expect(page.locator(TILES)).to_have_count(1)
    filters.get_by_role("button", name="Reset").click()
    expect(page.locator(TILES)).to_have_count(48)
    assert shown(page) == everything
    expect(chips.get_by_role("listitem")).to_have_count(0)


@pytest.mark.slow
def test_without_and_folded(page: Page, library):
    before = search(page, WORDS)
    page.get_by_role("button", name="Filters").click()
    with page.expect_response(lambda answer: asked(answer).get("without") == ["grass", "dog"]):
        page.get_by_label("Without").fill("grass, dog")
    expect(page.get_by_role("button", name="Remove the filter: without grass")).to_be_visible()
    page.wait_for_timeout(200)
    assert shown(page) != before
    page.get_by_role("button", name="Reset").click()
    field(page).fill("")
    page.locator("input.file").set_input_files(library / "tagged.jpg")
    expect(page.locator(TILES).first).to_have_attribute("data-path", "tagged.jpg")
    copies = page.locator("#grid li").first.get_by_role("button", name="+1 like it")
    copies.click()
    expect(page.locator(TILES).nth(1)).to_have_attribute("data-path", "scene 000.jpg")
    together = page.locator("#grid li").first.get_by_role("button", name="Put together")
    together.press("Enter")
    expect(copies).to_be_focused()
    expect(page.locator(TILES).nth(1)).not_to_have_attribute("data-path", "scene 000.jpg")
    page.get_by_role("switch", name="Put copies together").uncheck()
    expect(page.get_by_role("button", name="like it")).to_have_count(0)
    expect(page.locator(TILES).nth(1)).to_have_attribute("data-path", "scene 000.jpg")


@pytest.mark.slow
def test_more_photos_come_as_one_scrolls(page: Page, address):
    search(page, WORDS)
    alone = len(Client(address).search(WORDS, 200, fold=True))
    assert 96 < alone < 111  # some are put together
    for count in (96, alone):
        page.mouse.wheel(0, 20_000)
        expect(page.locator(TILES)).to_have_count(count)
    assert len(set(shown(page))) == alone
    expect(page.get_by_role("status").first).to_have_text(
        re.compile("All 111 photos|nothing like this")
    )
    page.mouse.wheel(0, -40_000)
    search(page, "a red car")
    assert page.evaluate("scrollY") == 0


@pytest.mark.slow
def test_back_and_forward(page: Page):
    dogs = search(page, "dogs")
    page.keyboard.press("Enter")
    boys = search(page, "boys")
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("switch").uncheck()
    expect(page).to_have_url(re.compile("fold=0"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"\?q=boys$"))
    expect(page.get_by_role("switch")).to_be_checked()
    page.go_back()
    expect(field(page)).to_have_value("dogs")
    expect(page.locator(TILES).first).to_have_attribute("data-id", dogs[0])
    page.go_back()
    expect(page.get_by_role("heading", name="111 photos")).to_be_visible()
    page.go_forward()
    page.go_forward()
    expect(page.locator(TILES).first).to_have_attribute("data-id", boys[0])
    page.reload()
    expect(page.locator(TILES).first).to_have_attribute("data-id", boys[0])


@pytest.mark.slow
def test_past_searches_are_offered_and_cleared(page: Page, address):
    for text in ("a dog", "a boat", "dark clouds"):
        search(page, text)
        page.keyboard.press("Enter")
    words = field(page)
    options = page.get_by_role("listbox", name="Past searches").get_by_role("option")
    page.goto(address)
    words.click()
    expect(options).to_have_text(["dark clouds", "a boat", "a dog"])
    expect(words).to_have_attribute("aria-expanded", "true")
    words.press_sequentially("a ")
    expect(options).to_have_text(["a boat", "a dog"])
    words.press("ArrowDown")
    words.press("ArrowDown")
    active = words.get_attribute("aria-activedescendant")
    expect(page.locator(f"#{active}")).to_have_attribute("aria-selected", "true")
    words.press("Enter")
    expect(words).to_have_value("a dog")
    expect(options).to_have_count(0)
    expect(page.locator(TILES).first).to_be_visible()
    page.get_by_role("button", name="Clear the words").click()
    words.click()
    page.get_by_role("button", name="Clear past searches").click()
    page.reload()
    words.click()
    expect(page.locator(".past")).to_be_hidden()


@pytest.mark.slow
def test_the_keyboard_alone(page: Page):
    search(page, WORDS)
    page.locator("body").focus()
    field(page).blur()
    page.keyboard.press("/")
    expect(field(page)).to_be_focused()
    page.keyboard.press("Escape")  # what is offered goes, or the words
    search(page, WORDS)
    page.keyboard.press("ArrowDown")
    tiles = page.locator(TILES)
    expect(tiles.nth(0)).to_be_focused()
    tops = tiles.evaluate_all("all => all.map((tile) => tile.getBoundingClientRect().top)")
    columns = tops.count(tops[0])  # the photos are of one size
    assert columns > 3
    for key, place in (("ArrowRight", 1), ("ArrowDown", columns + 1), ("ArrowLeft", columns),
                       ("ArrowUp", 0), ("End", 47), ("Home", 0)):  # fmt: skip
        page.keyboard.press(key)
        expect(tiles.nth(place)).to_be_focused()
    assert tiles.nth(0).evaluate("tile => getComputedStyle(tile).outlineStyle") != "none"
    page.keyboard.press("ArrowUp")
    expect(field(page)).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(tiles.nth(0)).to_be_focused()


def test_photos_like_one_of_the_index_by_a_link(tab, address, library):
    name = f"2024/{next(iter(sorted((library / '2024').iterdir()))).name}"
    key = Client(address).id_of(name)
    page = tab(f"{address}?like={key}")
    expect(page.locator(TILES)).to_have_count(48)
    assert shown(page) == [hit.id for hit in Client(address).find(Query(like=key), 48, fold=True)]
    loaded(page, ".upload img")
