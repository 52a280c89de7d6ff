"""The page in a real browser, Chromium, with a real `hgan serve` and the model that ships.

The photos are drawn, so a fresh clone runs these tests wherever Chromium is installed.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import ExifTags, Image

from tests.fixtures.scenes import draw_scene, save_scene

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM = os.environ.get("HGAN_CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHOTOS = 110
"""More than two pages of results."""
HOUR = 3600
NOW = 1_714_700_000
"""In May 2024."""
PATIENCE = 20_000
"""Milliseconds that a step may take on a busy machine."""
KEY = "a key of the tests that is long"

Serve = Callable[..., str]
"""Serves a copy of the index, or of another one, with more options; returns the address."""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos: some in folders, one with all that EXIF can say, which shows the same as
    another one; an hour between the photos."""
    folder = tmp_path_factory.mktemp("library") / "Pictures"
    for number in range(PHOTOS):
        place = folder / ("", "2023/beach", "2024")[number % 3]
        save_scene(place / f"scene {number:03}.jpg", number)
        os.utime(place / f"scene {number:03}.jpg", (HOUR * number, NOW + HOUR * number))
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Canon", "Canon EOS 5D"
    exif[ExifTags.Base.XPKeywords] = "family;garden\0".encode("utf-16-le")
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2023:06:30 12:30:01"
    draw_scene(0).save(folder / "tagged.jpg", exif=exif, quality=85)
    return folder


@pytest.fixture(scope="session")
def indexed(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of it by the model that ships; tests open copies of it."""
    from hgan.index.indexer import index_folder

    to = tmp_path_factory.mktemp("indexed") / "index"
    index_folder(library, to)
    return to


@pytest.fixture(scope="session")
def serve(indexed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(*options: str, index: Path = indexed) -> str:
            copy = shutil.copytree(index, tmp_path_factory.mktemp("served") / "index")
            log = stack.enter_context((copy.parent / "log").open("w"))
            process = subprocess.Popen(
                [sys.executable, "-m", "hgan", "serve", copy, "--port", "0", *options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | {"HGAN_API_KEYS": KEY},
            )
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
            line = process.stdout.readline()
            assert " photos at http://" in line, (copy.parent / "log").read_text()
            return line.split()[-1] + "/"

        yield start


@pytest.fixture(scope="session")
def address(serve: Serve) -> str:
    """Of the service that most tests share."""
    return serve()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    # For a module alone: while it is open, no other test of this process can run an event loop.
    pytest.importorskip("playwright", reason="no playwright: pip install '.[dev]'")
    from playwright.sync_api import expect, sync_playwright

    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}: apt-get install chromium, or set HGAN_CHROMIUM")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


Open = Callable[..., "Page"]
"""Opens a tab of its own, on an address; takes what a browser context takes."""


@pytest.fixture
def tab(browser: "Browser") -> Iterator[Open]:
    """Whatever a page writes to the console as an error fails the test, but for answers that it
    expects."""
    errors: list[str] = []
    with ExitStack() as stack:

        def start(url: str | None = None, **options: object) -> "Page":
            context = browser.new_context(
                **{"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"} | options
            )
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda said: _note(said, errors))
            if url is not None:
                page.goto(url)
            return page

        yield start
    assert not errors


def _note(said: "ConsoleMessage", errors: list[str]) -> None:
    # The browser itself says every answer that is none; what the page makes of it, tests look at.
    if said.type == "error" and "Failed to load resource" not in said.text:
        errors.append(said.text)


@pytest.fixture
def page(tab: Open, address: str) -> "Page":
    """The page as it opens."""
    return tab(address)
