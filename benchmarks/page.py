"""How soon does the page paint, and how soon are results there after the last key?

    hgan index PHOTOS --to INDEX
    python benchmarks/page.py --index INDEX --queries captions.jsonl

Serves the index, opens the page in a real Chromium, and types captions into it. Times are the
browser's own: from navigation to the first paint of anything with content, each time in a browser
without a cache; and from the event of a query's last key to the frame that shows its results, with
their thumbnails asked for. Beside it stands what the service alone takes to answer the same
queries, asked one after another over HTTP.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hgan.client import Client
from hgan.progress import progress

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FIRST_PAINT, RESULTS = 1.0, 0.2
"""The bars, in seconds."""
PAGE = 48
"""Photos that the page asks for."""
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
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]"
WATCH = """() => {
  const grid = document.querySelector("#grid");
  let pressed = 0;
  window.times = [];
  document.querySelector("#words").addEventListener("input", (event) => {
    pressed = event.timeStamp;
    window.times = [];
  });
  // What a key begins ends what the keys before began: the next change is that of the last key.
  new MutationObserver(() => {
    requestAnimationFrame(() => setTimeout(() => window.times.push(performance.now() - pressed)));
    const image = [...grid.querySelectorAll("img")].find((one) => !one.complete);
    image?.addEventListener("load", () => window.times.push(performance.now() - pressed));
  }).observe(grid, { childList: true });
}"""


def main() -> None:
    """Serve an index, and measure its page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--queries", type=Path, required=True, help="a captions.jsonl")
    parser.add_argument("--number", type=int, default=100, help="of queries")
    parser.add_argument("--loads", type=int, default=20, help="of the page")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="the browser")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    queries = read_queries(options.queries, options.number)
    with served(options.index) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        photos = Client(url).status()["photos"]
        print(f"{photos:,} photos, {len(queries)} queries, Chromium {browser.version}\n")
        painted = first_paints(browser, url, options.loads)
        shown, pictured = type_queries(browser, url, queries)
        browser.close()
        answered = ask_alone(url, queries)
    print(f"{'':36}{'p50':>10}{'p95':>10}")
    row("first paint of the page", painted, FIRST_PAINT)
    row("last key to results shown", shown, RESULTS)
    row("last key to a first thumbnail", pictured)
    row("reference: the service's answer", answered)
    ratio = np.median(shown) / np.median(answered)
    print(f"\nthe page takes {ratio:.1f} times as long as the service alone")


def read_queries(path: Path, number: int) -> list[str]:
    """A random sample of the captions, the same every time."""
    lines = path.read_text(encoding="utf-8").splitlines()
    captions = [caption.rstrip(" .") for line in lines for caption in json.loads(line)["captions"]]
    several = [caption for caption in captions if " " in caption]
    return random.Random(0).sample(several, min(number, len(several)))


@contextmanager
def served(index: Path) -> Iterator[str]:
    """The address of `hgan serve`, which runs as long as this."""
    command = [sys.executable, "-m", "hgan", "serve", index, "--port", "0", "--no-browser"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def first_paints(browser: "Browser", url: str, loads: int) -> list[float]:
    """Seconds from navigation to the first contentful paint, for each of so many loads."""
    seconds = []
    for _ in range(loads):
        context = browser.new_context()
        page = context.new_page()
        page.goto(url)
        page.wait_for_function(f"() => {PAINTED}")
        milliseconds = page.evaluate(f"() => {PAINTED}.startTime")
        seconds.append(milliseconds / 1e3)
        context.close()
    return seconds


def type_queries(
    browser: "Browser", url: str, queries: list[str]
) -> tuple[list[float], list[float]]:
    """Seconds from each query's last key to its results, and to the first thumbnail of them that
    was not there already."""
    page = browser.new_page()
    page.goto(url)
    page.wait_for_selector(".card img.shown")
    page.evaluate(WATCH)
    shown, pictured = [], []
    with progress("typing", total=len(queries), unit="queries") as bar:
        for query in queries:
            times = _typed(page, query)
            shown.append(times[0] / 1e3)
            pictured += [times[1] / 1e3] if len(times) > 1 else []
            bar.advance()
    return shown, pictured


def _typed(page: "Page", query: str) -> list[float]:
    """Milliseconds since the last key at which results, and a thumbnail, were there."""
    start, _, last_word = query.rpartition(" ")
    page.locator("#words").fill("")
    page.keyboard.insert_text(start + " ")
    page.keyboard.type(last_word, delay=60)
    page.wait_for_function("() => window.times.length > 0")
    page.wait_for_timeout(400)  # thumbnails come, and a person looks
    found: list[float] = page.evaluate("window.times")
    return found


def ask_alone(url: str, queries: list[str]) -> list[float]:
    """Seconds of each query over HTTP without a browser."""
    client = Client(url)
    seconds = []
    for query in queries:
        start = time.perf_counter()
        client.search(query, PAGE)
        seconds.append(time.perf_counter() - start)
    return seconds


def row(name: str, seconds: list[float], bar: float | None = None) -> None:
    """A line of the table."""
    median, high = np.median(seconds), np.quantile(seconds, 0.95)
    verdict = ""
    if bar is not None:
        verdict = f"  (bar {bar * 1e3:,.0f} ms: {'reached' if median < bar else 'missed'})"
    print(f"{name:36}{median * 1e3:7.1f} ms{high * 1e3:7.1f} ms{verdict}")


if __name__ == "__main__":
    main()
