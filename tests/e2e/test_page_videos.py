"""Videos on the page: the time on the tile, the player, and what is downloaded."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("playwright")
pytest.importorskip("av")
from playwright.sync_api import Locator, Page, Response, Route, expect

from hgan.index.indexer import index_folder
from tests.e2e.conftest import KEY
from tests.e2e.looks import TILES, search
from tests.fixtures.photos import save_photo
from tests.fixtures.videos import WIDTH, save_video

pytestmark = pytest.mark.slow


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
    page.get_by_role("button", name="+2 moments").click()
    expect(page.locator(TILES)).to_have_count(4)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    """An index of a photo, a video that Chromium plays, and one that it does not play."""
    folder = tmp_path_factory.mktemp("mixed")
    save_photo(folder / "root/a.png", (9, 99, 9))
    save_video(folder / "root/good.webm", codec="libvpx")
    save_video(folder / "root/old.avi")
    index_folder(folder / "root", folder / "index")
    return folder / "index"


@pytest.fixture(scope="module")
def played(serve, mixed) -> str:
    """The address of a service over them, with each frame by itself."""
    return serve(index=mixed) + "?fold=0"


def opened(page: Page, name: str) -> Locator:
    """Open the last frame of a video; returns the player."""
    page.get_by_role("link", name=f"video {name} at 0:02").click()
    expect(page.get_by_role("heading", name=f"{name} at 0:02")).to_be_visible()
    return page.locator(".detail video")


def time_of(player: Locator) -> float:
    return player.evaluate("(video) => video.currentTime")


def until(page: Page, met: str) -> None:
    page.wait_for_function(f"() => {{ const v = document.querySelector('video'); return {met}; }}")


def test_a_video_is_played_from_the_time_of_its_frame(tab, played):
    page = tab(played)
    answers: list[Response] = []
    page.on("response", lambda one: answers.append(one) if one.url.endswith("/video") else None)
    player = opened(page, "good.webm")
    expect(player).to_be_visible()
    until(page, "v.readyState >= 2 && !v.seeking")
    assert player.evaluate("(video) => [video.videoWidth, video.paused]") == [WIDTH, True]
    assert time_of(player) == pytest.approx(2.5, abs=0.1)
    assert {one.status for one in answers} == {206}
    frame, box = page.locator(".frame").bounding_box(), player.bounding_box()
    assert box == pytest.approx(frame)
    player.evaluate("(video) => video.play()")
    until(page, "v.currentTime > 2.6")
    # Keys seek in the player, and lead to the next photo outside of it.
    player.focus()
    url = page.url
    page.keyboard.press("ArrowLeft")
    assert page.url == url
    page.locator(".detail .close").focus()
    page.keyboard.press("ArrowLeft")
    expect(page).not_to_have_url(url)
    page.keyboard.press("Escape")
    expect(player).to_be_hidden()
    assert player.evaluate("(video) => [video.paused, video.hasAttribute('src')]") == [True, False]


def test_a_photo_after_a_video_has_no_player(tab, played):
    page = tab(played)
    expect(opened(page, "good.webm")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator(TILES).and_(page.locator("[data-path='a.png']")).click()
    expect(page.get_by_role("heading", name="a.png")).to_be_visible()
    expect(page.locator(".detail video")).to_be_hidden()
    expect(page.locator(".original")).to_have_attribute("href", re.compile("/photo$"))
    expect(page.locator(".original")).not_to_have_attribute("download", re.compile(""))


def test_the_picture_stays_where_the_browser_cannot_play_the_video(tab, played):
    page = tab(played)
    player = opened(page, "old.avi")
    until(page, "v.error !== null")
    expect(player).to_be_hidden()
    shown = page.get_by_role("img", name="old.avi at 0:02")
    expect(shown).to_be_visible()
    expect(shown).to_have_js_property("naturalWidth", WIDTH)


@pytest.mark.parametrize("name", ["good.webm", "old.avi"])
def test_the_original_is_the_video(tab, played, mixed, name):
    page = tab(played)
    opened(page, name)
    original = page.get_by_role("link", name="Original")
    expect(original).to_have_attribute("href", re.compile("/video$"))
    with page.expect_download() as download:
        original.click()
    assert download.value.suggested_filename == name
    data = Path(download.value.path()).read_bytes()
    assert data == (mixed.parent / "root" / name).read_bytes()


def sure(change: Callable[[dict], None]) -> Callable[[Route], None]:
    """Answers as the service does, with a change of the JSON."""

    def answer(route: Route) -> None:
        response = route.fetch()
        found = response.json()
        change(found)
        route.fulfill(response=response, json=found)

    return answer


def test_the_heat_of_a_word_is_over_the_picture(tab, played):
    """The explanation is that of the frame, wherever the video is."""
    page = tab(played)
    page.route("**/v1/explain", sure(lambda found: found["words"][0].update(sure=True)))
    search(page, "red")
    player = opened(page, "good.webm")
    expect(player).to_be_visible()
    player.evaluate("(video) => video.play()")
    page.locator(".sentence button").hover()
    expect(page.locator(".frame.lit .heat")).to_be_visible()
    expect(player).to_be_hidden()
    assert player.evaluate("(video) => video.paused")
    page.locator(".title h2").hover()
    expect(player).to_be_visible()


def with_key(page: Page) -> None:
    page.get_by_label("key").fill(KEY)
    page.keyboard.press("Enter")


def test_with_a_key_the_video_is_loaded_before(tab, serve, mixed):
    page = tab(serve("--require-key", index=mixed) + "?fold=0")
    with_key(page)
    player = opened(page, "good.webm")
    expect(player).to_be_visible()
    assert player.evaluate("(video) => video.src").startswith("blob:")
    until(page, "v.readyState >= 2 && !v.seeking")
    assert time_of(player) == pytest.approx(2.5, abs=0.1)
    page.keyboard.press("Escape")
    expect(player).to_be_hidden()
    page.route(re.compile("/v1/items/[0-9a-f-]+$"), sure(lambda found: found.update(bytes=10**9)))
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    player = opened(page, "good.webm")
    expect(page.locator(".facts")).to_contain_text("too large to be played here with a key")
    expect(player).to_be_hidden()
    assert not any(url.endswith("/video") for url in asked)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_player_as_screen_readers_and_small_screens_have_it(tab, played, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = tab(played, viewport={"width": width, "height": 800})
    expect(opened(page, "good.webm")).to_be_visible()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        wrong = axe.Axe().run(page).response["violations"]
        assert not [(one["id"], one["impact"]) for one in wrong]
