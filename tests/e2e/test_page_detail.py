"""One photo on the page: its metadata, its explanation, and links to similar photos."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("playwright")
from playwright.sync_api import Locator, Page, expect

from hgan.client import Client
from hgan.search.query import Query
from hgan.search.searcher import open_index
from tests.e2e.looks import TILES, field, loaded, search, shown
from tests.fixtures.tiny_bundle import CONTEXT_ONLY, edit_config, write_tiny_bundle

WORDS = "a child with a ball and a kite"


@pytest.fixture
def opened(page: Page) -> Page:
    """The best photo of a search, large."""
    search(page, WORDS)
    page.locator(TILES).first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.locator(".sentence button")).to_have_text(["child", "ball", "kite"])
    page.get_by_text("Details", exact=True).click()
    return page


def path_of(tile: Locator) -> str:
    """The path of a photo in the results."""
    return tile.get_attribute("data-path")


@pytest.fixture
def served_dual(serve, tmp_path: Path) -> str:
    """The address of a service with one wide photo, red at the top, and a dual encoder that sees
    the middle half of it."""
    from hgan.index.indexer import index_folder

    photo = Image.new("RGB", (800, 400), (0, 0, 60))
    photo.paste((255, 0, 0), (500, 0, 600, 100))
    (tmp_path / "photos").mkdir()
    photo.save(tmp_path / "photos" / "red.png")
    model = write_tiny_bundle(tmp_path / "dual", weights=CONTEXT_ONLY, patches=True)
    edit_config(model, preprocessing={"fit": "crop", "filter": "bicubic", "shorter_side": 16})
    index_folder(tmp_path / "photos", tmp_path / "index", model)
    return serve(index=tmp_path / "index")


def heat(page: Page) -> np.ndarray:
    """(h, w): how opaque the heat over the photo is."""
    values = page.evaluate(
        """() => {
          const heat = document.querySelector("canvas.heat");
          const { data } = heat.getContext("2d").getImageData(0, 0, heat.width, heat.height);
          const opacity = Array.from({ length: data.length / 4 }, (_, i) => data[4 * i + 3]);
          return [heat.height, heat.width, opacity];
        }"""
    )
    return np.array(values[2]).reshape(values[:2])


@pytest.mark.slow
def test_what_is_known_of_a_photo(page: Page, address, library):
    page.goto(f"{address}?q=people&camera=Canon")
    page.locator(TILES).first.click()
    dialog = page.get_by_role("dialog", name="tagged.jpg")
    expect(dialog).to_be_visible()
    for name, value in (("Taken", "June 30, 2023"), ("Camera", "Canon EOS 5D"),
                        ("Tags", "family, garden")):  # fmt: skip
        fact = dialog.locator("dt", has_text=name).locator("+ dd")
        expect(fact).to_contain_text(value)
    loaded(page, ".detail .photo")
    original = dialog.get_by_role("link", name="Original")
    expect(original).to_have_attribute("href", re.compile("/photo$"))
    answer = page.request.get(original.get_attribute("href"))
    assert answer.body() == (library / "tagged.jpg").read_bytes()
    # The photo itself follows the thumbnail.
    expect(dialog.locator(".photo")).to_have_attribute("src", re.compile("/photo$"))
    box, natural = (
        dialog.locator(".frame").bounding_box(),
        dialog.locator(".photo").evaluate("photo => photo.naturalWidth / photo.naturalHeight"),
    )
    assert box["width"] / box["height"] == pytest.approx(natural, rel=0.02)


@pytest.mark.slow
def test_the_levels_shares_are_those_of_the_score(opened: Page, indexed, address):
    with open_index(indexed) as index:
        weights = index.bundle.config.weights
    [hit] = Client(address).search(WORDS, 1)
    expect(opened.locator(".score")).to_have_text(f"{hit.score:.3f}")
    parts = {name: weights[name] * value for name, value in hit.levels.items()}
    said = opened.locator(".levels .share-of").all_inner_texts()
    expected = [100 * part / sum(parts.values()) for part in parts.values()]
    assert [int(text.split()[0]) for text in said] == pytest.approx(expected, abs=0.6)
    bars = opened.locator(".levels .bar").evaluate_all(
        "bars => bars.map((bar) => 100 * bar.offsetWidth / bar.parentElement.offsetWidth)"
    )
    assert bars == pytest.approx(expected, abs=1.5)


@pytest.mark.slow
def test_slots_agree_as_the_explanation_says(opened: Page, indexed, library):
    with open_index(indexed) as index:
        path = library / path_of(opened.locator(TILES).first)
        slots = index.bundle.explain(path, WORDS).slots
    said = opened.locator(".slots li").all_inner_texts()
    assert [float(text.split()[-1]) for text in said] == pytest.approx(slots, abs=0.0051)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["hover", "focus"])
def test_a_word_lights_its_regions(opened: Page, indexed, library, way):
    from hgan.render.heatmap import heat as field_of_heat

    with open_index(indexed) as index:
        path = library / path_of(opened.locator(TILES).first)
        explanation = index.bundle.explain(path, WORDS)
    frame = opened.locator(".frame")
    expect(frame).not_to_have_class(re.compile("lit"))
    sure = [word for word in explanation.words if word.is_sure]
    warmest = max(float(np.ptp(word.similarity)) for word in sure)
    expect(opened.locator(".sentence button")).to_have_count(len(sure))
    fields = []
    for row in (0, len(sure) - 1):
        button, word = opened.locator(".sentence button").nth(row), sure[row]
        assert button.inner_text() == word.text
        button.hover() if way == "hover" else button.focus()
        expect(frame).to_have_class(re.compile("lit"))
        expect(opened.locator(".match")).to_contain_text(f"“{word.text}” matches best")
        seen = heat(opened)
        above = (word.similarity - word.similarity.min()) / warmest
        expected = field_of_heat(above, explanation.boxes, *seen.shape[::-1])
        # The same in Python, faded as on the page; the bytes of a canvas are rounded.
        assert seen == pytest.approx(255 * expected.clip(0, 1) ** 0.7, abs=4)
        box, region = frame.bounding_box(), opened.locator(".region").bounding_box()
        left, top, right, _ = explanation.boxes[word.region]
        assert (region["x"] - box["x"]) / box["width"] == pytest.approx(left, abs=0.02)
        assert (region["y"] - box["y"]) / box["height"] == pytest.approx(top, abs=0.02)
        assert region["width"] / box["width"] == pytest.approx(right - left, abs=0.02)
        fields.append(seen)
    assert np.abs(fields[0] - fields[1]).max() > 20  # they are not the same
    opened.locator(".title h2").hover()
    opened.locator(".close").focus()
    expect(frame).not_to_have_class(re.compile("lit"))


@pytest.mark.slow
def test_a_word_that_is_pressed_stays_lit(opened: Page):
    word = opened.get_by_role("button", name="ball", exact=True)
    word.click()
    opened.locator(".title h2").hover()
    expect(opened.locator(".frame")).to_have_class(re.compile("lit"))
    expect(word).to_have_attribute("aria-pressed", "true")
    word.click()
    opened.locator(".title h2").hover()
    opened.locator(".close").focus()
    expect(opened.locator(".frame")).not_to_have_class(re.compile("lit"))


@pytest.mark.slow
def test_a_dual_encoder_says_where_the_sentence_is(tab, served_dual):
    page = tab(served_dual)
    search(page, "red")
    page.locator(TILES).first.click()
    sentence = page.locator(".sentence button")
    expect(sentence).to_have_text(["red"])
    expect(page.locator(".why")).to_contain_text(
        "Where it matches: from the patch tokens of Tiny, without the last attention; approximate."
    )
    expect(page.locator(".why")).not_to_contain_text("not word by word")
    frame = page.locator(".frame")
    expect(frame).not_to_have_class(re.compile("lit"))
    sentence.hover()
    expect(frame).to_have_class(re.compile("lit"))
    expect(page.locator(".match")).to_contain_text("The sentence matches best at the top")
    warm = heat(page)
    height, width = warm.shape
    assert warm[height // 8, width * 11 // 16] > 200 > 100 > warm[height * 7 // 8, width * 5 // 16]
    assert warm[:, : width // 4].max() == warm[:, width * 3 // 4 :].max() == 0
    box, region = frame.bounding_box(), page.locator(".region").bounding_box()
    assert (region["x"] - box["x"]) / box["width"] == pytest.approx(5 / 8, abs=0.02)
    assert region["width"] / box["width"] == pytest.approx(1 / 8, abs=0.02)


@pytest.mark.slow
def test_arrows_lead_to_the_photos_around_it(opened: Page):
    found = shown(opened)
    dialog = opened.get_by_role("dialog")
    expect(dialog.locator(".previous")).to_be_hidden()  # there is none before the first
    for key, place in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)):
        opened.keyboard.press(key)
        expect(opened).to_have_url(re.compile(f"id={found[place]}"))
        name = path_of(opened.locator(TILES).nth(place)).split("/")[-1]
        expect(dialog.get_by_role("heading", name=name)).to_be_visible()
    dialog.get_by_role("button", name="Next photo").click()
    expect(opened).to_have_url(re.compile(f"id={found[2]}"))
    for place in (1, 0):
        dialog.get_by_role("button", name="Previous photo").click()
        expect(opened).to_have_url(re.compile(f"id={found[place]}"))
    for place in (1, 2):  # the button that was pressed is gone, and the keys still work
        opened.keyboard.press("ArrowRight")
        expect(opened).to_have_url(re.compile(f"id={found[place]}"))
    opened.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opened.locator(TILES).nth(2)).to_be_focused()
    expect(opened).to_have_url(re.compile(r"\?q=a\+child\+with\+a\+ball\+and\+a\+kite$"))


@pytest.mark.slow
def test_the_last_photo_of_a_page_is_not_the_last(page: Page):
    search(page, WORDS)
    page.locator(TILES).nth(46).click()
    page.keyboard.press("ArrowRight")
    expect(page.locator(TILES)).to_have_count(96)
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(f"id={shown(page)[48]}"))


@pytest.mark.slow
def test_similar_photos(opened: Page, address):
    first = shown(opened)[0]
    opened.get_by_role("button", name="Similar photos").click()
    expect(opened.get_by_role("dialog")).to_be_hidden()
    expect(opened).to_have_url(re.compile(rf"\?like={first}$"))
    similar = [hit.id for hit in Client(address).find(Query(like=first), 48, fold=True)]
    expect(opened.locator(TILES).first).to_have_attribute("data-id", similar[0])
    assert shown(opened) == similar
    # It was found by a photo, so the bars are there without any words.
    opened.locator(TILES).first.click()
    expect(opened.locator(".levels li")).to_have_count(3)
    expect(opened.locator(".sentence")).to_have_count(0)


@pytest.mark.slow
def test_a_link_to_a_photo_opens_it(opened: Page, tab):
    shared = opened.url
    other = tab(shared)
    expect(other.get_by_role("dialog")).to_be_visible()
    expect(other.locator(".sentence button")).to_have_count(3)
    expect(other.locator(".levels li")).to_have_count(3)
    other.keyboard.press("Escape")
    expect(other.locator(TILES)).to_have_count(48)
    opened.go_back()
    expect(opened.get_by_role("dialog")).to_be_hidden()
    opened.go_forward()
    expect(opened.get_by_role("dialog")).to_be_visible()


@pytest.mark.slow
def test_letters_outside_the_first_plane_do_not_shift_the_words(page: Page):
    text = "😀😀 a child, with a ball and a kite!"
    search(page, text)
    page.locator(TILES).first.click()
    expect(page.locator(".sentence button")).to_contain_text(["ball"])
    expect(page.locator(".sentence")).to_have_text(text)


@pytest.mark.slow
def test_no_words_without_a_clear_place(page: Page):
    search(page, "mountains of gold")
    page.locator(TILES).first.click()
    expect(page.locator(".match")).to_have_text("No word has a clear place in this photo.")
    expect(page.locator(".sentence")).to_have_text("mountains of gold")
    expect(page.locator(".sentence button")).to_have_count(0)


@pytest.mark.slow
def test_the_folder_of_a_photo_is_a_filter(page: Page):
    search(page, WORDS)
    tile = page.locator(f"{TILES}[data-path^='2024/']").first
    tile.click()
    page.get_by_role("dialog").get_by_role("button", name="2024").click()
    expect(page).to_have_url(re.compile("folder=2024"))
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(field(page)).to_have_value(WORDS)
    expect(page.get_by_role("button", name="Remove the filter: in 2024")).to_be_visible()
