"""Measure the loading time of the search page, and the time from the last key to the results.

    hgan index PHOTOS --to INDEX
    python benchmarks/page.py --index INDEX --queries captions.jsonl

Serves the index, opens the page in Chromium, and types captions into it. The times are measured by
the browser: from navigation to the first contentful paint, each time with an empty cache; and from
the event of the last key of a query to the frame with its results, whose thumbnails are then
loading. For comparison, it measures the time of the service for the same queries, one after another
over HTTP.
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
"""Maximum times in seconds."""
PAGE = 48
"""Number of results that the page requests."""
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
  // Each key cancels the searches of earlier keys, so the next change is from the last key.
  new MutationObserver(() => {
    requestAnimationFrame(() => setTimeout(() => window.times.push(performance.now() - pressed)));
    const image = [...grid.querySelectorAll("img")].find((one) => !one.complete);
    image?.addEventListener("load", () => window.times.push(performance.now() - pressed));
  }).observe(grid, { childList: true, subtree: true });
}"""


def main() -> None:
    """Serve an index, and measure the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", type=Path, required=True, help="folder of the index")
    parser.add_argument("--queries", type=Path, required=True, help="captions as JSON Lines")
    parser.add_argument("--number", type=int, default=100, help="number of queries")
    parser.add_argument("--loads", type=int, default=20, help="number of page loads")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="path of the browser")
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
        answered = time_service(url, queries)
    print(f"{'':36}{'p50':>10}{'p95':>10}")
    row("first paint of the page", painted, FIRST_PAINT)
    row("last key to results shown", shown, RESULTS)
    row("last key to the first thumbnail", pictured)
    row("reference: answer of the service", answered)
    ratio = np.median(shown) / np.median(answered)
    print(f"\nthe page takes {ratio:.1f} times as long as only the service")


def read_queries(path: Path, number: int) -> list[str]:
    """A random sample of the captions, which is always the same."""
    lines = path.read_text(encoding="utf-8").splitlines()
    captions = [caption.rstrip(" .") for line in lines for caption in json.loads(line)["captions"]]
    several = [caption for caption in captions if " " in caption]
    return random.Random(0).sample(several, min(number, len(several)))


@contextmanager
def served(index: Path) -> Iterator[str]:
    """Run `hgan serve` during the `with` block; yield its URL."""
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
    """Seconds from navigation to the first contentful paint, for each page load."""
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
    """Seconds from the last key of each query to its results, and to the first thumbnail that was
    not already loaded."""
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
    """Milliseconds from the last key to the results, and to the first thumbnail."""
    start, _, last_word = query.rpartition(" ")
    page.locator("#words").fill("")
    page.keyboard.insert_text(start + " ")
    page.keyboard.type(last_word, delay=60)
    page.wait_for_function("() => window.times.length > 0")
    page.wait_for_timeout(400)  # thumbnails are loaded, and users look at the results
    found: list[float] = page.evaluate("window.times")
    return found


def time_service(url: str, queries: list[str]) -> list[float]:
    """Seconds of each query over HTTP, without a browser."""
    client = Client(url)
    seconds = []
    for query in queries:
        start = time.perf_counter()
        client.search(query, PAGE)
        seconds.append(time.perf_counter() - start)
    return seconds


def row(name: str, seconds: list[float], bar: float | None = None) -> None:
    """Print a line of the table."""
    median, high = np.median(seconds), np.quantile(seconds, 0.95)
    verdict = ""
    if bar is not None:
        verdict = f"  (target {bar * 1e3:,.0f} ms: {'met' if median < bar else 'missed'})"
    print(f"{name:36}{median * 1e3:7.1f} ms{high * 1e3:7.1f} ms{verdict}")


if __name__ == "__main__":
    main()
