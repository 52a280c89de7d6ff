"""The page of `hgan report` in a browser: everything is in it, and can be seen and read."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from hgan.reporting.report import PAGE, write_report
from tests.e2e.conftest import Open
from tests.fixtures.records import write_captions, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest.importorskip("axe_playwright_python")
from axe_playwright_python.sync_playwright import Axe

pytestmark = pytest.mark.slow

LOADED = "([...document.images]).every((i) => i.complete && i.naturalWidth > 0)"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    captions = write_captions(tmp_path / "data")
    (tmp_path / "data" / "photos").mkdir()
    for i in range(30):
        colour = Image.new("RGB", (80, 60), (8 * i, 120, 30))
        colour.save(tmp_path / "data" / "photos" / f"test{i}.jpg")
    for name, noise in (("full", 0.5), ("worse", 1.5)):
        write_run(tmp_path / "runs" / name, captions, noise=noise)
    write_report([tmp_path / "runs"], tmp_path / "report", "test")
    return tmp_path / "report" / PAGE


@pytest.fixture
def page(report: Path, tab: Open) -> "Page":
    """The page alone: the files beside it are gone, and nothing may be asked of the network."""
    for file in report.parent.iterdir():
        if file != report:
            file.unlink()
    page = tab()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    return page


def test_plots_and_photos_are_seen(page: "Page") -> None:
    page.wait_for_function(LOADED)
    assert page.locator("img.plot").count() == 5
    summaries = page.locator("summary")
    assert summaries.all_inner_texts() == ["full, seed 1", "worse, seed 1"]
    summaries.nth(1).click()
    photo = page.locator("details[open] figure svg").first
    name = photo.get_attribute("aria-label")
    photo.scroll_into_view_if_needed()
    with Image.open(io.BytesIO(photo.screenshot())) as shown:
        middle = shown.convert("RGB").getpixel((shown.width // 2, shown.height // 2))
    expected = 8 * int(name.removeprefix("test").removesuffix(".jpg")), 120, 30
    assert all(abs(a - b) < 6 for a, b in zip(middle, expected, strict=True))


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_window(page: "Page", width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.locator("summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: "Page", scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.locator("summary").first.click()
    found = Axe().run(page).response
    assert len(found["passes"]) > 10
    assert [violation["id"] for violation in found["violations"]] == []
