"""Selecting photos on the page, with mouse and keyboard, and downloading them."""

import re
import zipfile

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

from tests.e2e.looks import TILES, search

pytestmark = pytest.mark.slow


def test_one_as_itself_several_as_an_archive(page: Page, library, tmp_path):
    search(page, "a dog")
    boxes = page.get_by_role("checkbox", name="Select photo")
    bar = page.get_by_role("region", name="Selected photos")
    paths = page.locator(TILES).evaluate_all("all => all.map((tile) => tile.dataset.path)")
    expect(bar).to_be_hidden()
    boxes.nth(1).check()
    expect(bar).to_contain_text("1 selected")
    with page.expect_download() as download:
        bar.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == paths[1].split("/")[-1]
    download.value.save_as(tmp_path / "one")
    assert (tmp_path / "one").read_bytes() == (library / paths[1]).read_bytes()
    boxes.nth(4).click(modifiers=["Shift"])
    expect(bar).to_contain_text("4 selected")
    page.locator(TILES).nth(2).click()  # while some are selected, a click selects
    expect(boxes.nth(2)).not_to_be_checked()
    expect(bar).to_contain_text("3 selected")
    with page.expect_download() as download:
        bar.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "photos.zip"
    download.value.save_as(tmp_path / "photos.zip")
    with zipfile.ZipFile(tmp_path / "photos.zip") as made:
        found = [made.read(name) for name in made.namelist()]
    assert found == [(library / paths[row]).read_bytes() for row in (1, 3, 4)]
    bar.get_by_role("button", name="Clear").click()
    expect(bar).to_be_hidden()
    expect(boxes.nth(1)).not_to_be_checked()


def test_with_the_keyboard_and_names_for_screen_readers(page: Page):
    search(page, "tagged photo")
    tiles = page.locator(TILES)
    page.keyboard.press("ArrowDown")
    expect(tiles.first).to_be_focused()
    page.keyboard.press(" ")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Space")
    bar = page.get_by_role("region", name="Selected photos")
    expect(bar).to_contain_text("3 selected")
    page.keyboard.press("Tab")
    expect(page.get_by_role("checkbox", name="Select photo 3", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(bar).to_be_hidden()
    expect(tiles.first).to_have_attribute("aria-label", re.compile("^Photo 1 of 48, "))
    page.goto(page.url + "&camera=canon")
    expect(tiles).to_have_count(1)
    expect(tiles).to_have_attribute("aria-label", re.compile("^Photo 1 of 1, 30 June 2023"))
