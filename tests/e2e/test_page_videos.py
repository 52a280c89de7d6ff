"""Videos on the page: the time on the tile and in the detail, and the frame as a download."""

import re
from pathlib import Path

import pytest

pytest.importorskip("playwright")
pytest.importorskip("av")
from playwright.sync_api import expect

from hgan.index.indexer import index_folder
from tests.e2e.looks import TILES
from tests.fixtures.photos import save_photo
from tests.fixtures.videos import WIDTH, save_video


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """An index of a photo and a video."""
    folder = tmp_path_factory.mktemp("videos")
    save_photo(folder / "root/a.png", (9, 99, 9))
    save_video(folder / "root/clip.mp4")
    index_folder(folder / "root", folder / "index")
    return folder / "index"


def test_a_frame_has_its_time(tab, serve, videos):
    page = tab(serve(index=videos) + "?fold=0")
    frames = page.locator(TILES).filter(has=page.locator(".moment:visible"))
    expect(frames).to_have_count(3)
    assert sorted(frames.locator(".moment").all_inner_texts()) == ["▸ 0:00", "▸ 0:01", "▸ 0:02"]
    names = frames.evaluate_all("all => all.map((tile) => tile.getAttribute('aria-label'))")
    assert all(re.search(r"^Photo \d of 4, .+, video clip\.mp4 at 0:0\d$", name) for name in names)
    last = page.locator(TILES).filter(has_text="▸ 0:02")
    last.click()
    detail = page.get_by_role("dialog")
    expect(detail.get_by_role("heading", name="clip.mp4 at 0:02")).to_be_visible()
    expect(detail.locator(".facts")).to_contain_text("at 0:02")
    shown = detail.get_by_role("img", name="clip.mp4 at 0:02")
    expect(shown).to_have_js_property("naturalWidth", WIDTH)
    page.keyboard.press("Escape")
    page.locator("#grid li").filter(has_text="▸ 0:02").get_by_role("checkbox").check()
    with page.expect_download() as download:
        page.get_by_role("region", name="Selected photos").get_by_role("button").first.click()
    assert download.value.suggested_filename == "clip.mp4 at 0-02.jpg"


def test_the_frames_of_a_video_are_put_together(tab, serve, videos):
    page = tab(serve(index=videos))
    expect(page.locator(TILES)).to_have_count(2)
    page.get_by_role("button", name="+2 like it").click()
    expect(page.locator(TILES)).to_have_count(4)
