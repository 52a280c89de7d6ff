"""Browsing without words: all photos by month, and filters alone."""

import re

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

from hgan.client import Client
from tests.e2e.looks import TILES, field, search, shown

pytestmark = pytest.mark.slow


def test_all_photos_by_month_each_once(page: Page, address):
    expect(page.locator(TILES)).to_have_count(48)
    for count in (96, 111):
        page.mouse.wheel(0, 20_000)
        expect(page.locator(TILES)).to_have_count(count)
    photos = list(Client(address).browse())
    assert shown(page) == [photo.id for photo in photos]
    headings = page.locator("#grid h2").all_inner_texts()
    months = [f"{photo.taken:%B %Y}" if photo.taken else "Without a date" for photo in photos]
    assert headings == list(dict.fromkeys(months))
    last = page.get_by_role("list", name=headings[-1]).locator("a").last
    assert last.get_attribute("data-id") == photos[-1].id


def test_a_heading_stays_in_view(page: Page):
    heading = page.locator("#grid h2").last
    expect(page.locator(TILES)).to_have_count(48)
    page.evaluate("document.querySelectorAll('#grid a')[40].scrollIntoView()")
    expect(heading).to_be_in_viewport()
    header = page.locator(".top").bounding_box()
    assert heading.bounding_box()["y"] == pytest.approx(header["height"], abs=6)


def test_filters_alone_find_photos_and_words_rank_them(page: Page):
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("form", name="Filters").get_by_label("Folder").fill("2023")
    expect(page.locator(TILES)).to_have_count(37)
    expect(page.locator(".welcome")).to_be_hidden()
    expect(page.get_by_role("status").first).to_have_text("All 37 photos")
    by_time = shown(page)
    assert sorted(search(page, "a boat")) == sorted(by_time)
    assert page.locator("#grid h2").count() == 0
    field(page).fill("")
    expect(page.locator("#grid h2").first).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?folder=2023$"))
    assert shown(page) == by_time
    page.locator(TILES).nth(1).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(by_time[2]))
