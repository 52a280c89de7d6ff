"""Run the service for minutes under everything at once, and check every answer and its memory.

    python benchmarks/soak.py
    python benchmarks/soak.py --minutes 1 --number 300 --json soak.json

Starts `hgan serve --watch` in a separate process. 64 clients search with words, photos and batches,
upload photos, replace them, and delete them; photos are put into the folder and removed from it;
and `hgan index` updates another index of the same folder, and is refused by the served one.

The scores of all photos for all queries are computed before, in this process. An answer is wrong
if it has fewer hits than were asked for, hits that are not in order, a score that the photo does
not have, a photo that nobody has stored, or one whose removal was acknowledged before the request.
No other status is accepted than those of the API for success, and 503 and 504 for too much load; a
change that was answered with these must not have happened. At the end, the index must contain
exactly what was acknowledged.

The memory of the process, without the files that it maps, is measured after a warm-up and at the
end, each time after a pause. The exit status is 1 if an answer was wrong or a target was missed.
"""

import argparse
import asyncio
import io
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from hgan.files import write_json
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.store.snapshot import space_used
from hgan.index.verify import verify_index
from hgan.requester import KEEP_OPEN
from hgan.search.query import Query
from hgan.search.searcher import open_index
from hgan.serve.settings import API_KEYS
from kills import copy_photos
from service import read_queries, serving
from soak_client import EACH, Client, upload_path
from truth import Asked, Truth

GROWTH = 1.05
"""Target: maximum ratio of the memory at the end to the memory after the warm-up."""
LOCKED = "another process is using this index"
KEY = "the key of the soak test"
WORDS, PHOTOS = 32, 8
"""Numbers of queries of each kind."""
LARGE = 4000
"""Length of the longer side of one of the photos that are searched with, in pixels."""
PAUSE = 10.0
"""Seconds without requests before the memory is measured."""
WARM_UP = 60.0
"""Minimum seconds of load before the first measurement; otherwise, a fifth of the whole time."""
SAMPLE = 30.0
"""Seconds between two samples of the memory."""
UPDATES = 5
"""Number of times that the folder is changed and indexed by others."""


def main() -> None:
    """Run the soak test; exit with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("HGAN_DATA", "data")) / "flickr8k"
    parser.add_argument("--photos", type=Path, default=data / "images", help="folder of photos")
    parser.add_argument("--queries", type=Path, default=data / "captions.jsonl", help="captions")
    parser.add_argument("--number", type=int, default=1000, help="number of photos to index")
    parser.add_argument("--clients", type=int, default=64, help="number of concurrent clients")
    parser.add_argument("--minutes", type=float, default=10.0, help="duration of the load")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        soak = prepare(Path(scratch), options)
        log = Path(scratch) / "log"
        with serving(soak.index, "--watch", env={API_KEYS: KEY}, log=log) as (process, url):
            asyncio.run(soak.run(url, process.pid, options.clients, 60 * options.minutes))
            soak.exited = process.poll()
        soak.check_log(log)
        soak.check_end()
    results = soak.results() | {"minutes": options.minutes, "clients": options.clients}
    print_results(results)
    if options.json:
        write_json(options.json, results)
    sys.exit(0 if results["met"] else 1)


@dataclass
class Soak:
    """A running soak test."""

    folder: Path
    index: Path
    other: Path
    """Another index of the folder, which `hgan index` updates."""
    files: list[Path]
    """Photos whose contents are uploaded; those of the folder before the test."""
    words: list[Asked]
    photos: list[Asked]
    truth: Truth
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    """Statuses by what a client did."""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Latencies of successful requests by what a client did."""
    updates: Counter[str] = field(default_factory=Counter)
    """Results of `hgan index`."""
    memory: dict[str, dict[str, int]] = field(default_factory=dict)
    """Memory of the service and size of its index in bytes, at several times."""
    samples: list[int] = field(default_factory=list)
    """Anonymous memory of the service in bytes, every `SAMPLE` seconds, also while warming up."""
    exited: int | None = None
    """Exit status of the service, if it ended by itself."""

    async def run(self, url: str, process: int, clients: int, seconds: float) -> None:
        """Warm up, measure the memory, load the service for some time, and measure again."""
        limits = httpx.Limits(max_connections=clients, keepalive_expiry=KEEP_OPEN)
        async with httpx.AsyncClient(
            base_url=url, headers={"X-API-Key": KEY}, timeout=120, limits=limits
        ) as http:
            people = [Client(self, http, number) for number in range(clients)]
            for name, part in (("warm", max(WARM_UP, seconds / 5)), ("end", seconds)):
                until = time.monotonic() + part
                others = asyncio.create_task(self.update_folder(part, name))
                watching = asyncio.create_task(self.watch_memory(process, until))
                await asyncio.gather(*(one.work(until) for one in people))
                await others
                await watching
                self.memory[f"{name}, busy"] = memory_of(process, self.index)
                await asyncio.sleep(PAUSE)
                self.memory[name] = memory_of(process, self.index)

    async def watch_memory(self, process: int, until: float) -> None:
        """Record the anonymous memory of the service every half a minute."""
        while time.monotonic() < until:
            self.samples.append(memory_of(process, self.index)["RssAnon"])
            await asyncio.sleep(SAMPLE)

    async def update_folder(self, seconds: float, name: str) -> None:
        """Change the folder, and run `hgan index`, several times."""
        started = time.monotonic()
        number = UPDATES if name == "end" else 1
        for turn in range(number):
            path = self.folder / hand_path(turn)
            path.parent.mkdir(exist_ok=True)
            temporary = path.with_suffix(".part")  # the name of no photo
            shutil.copy(self.files[turn], temporary)
            temporary.rename(path)
            if turn > 1:
                (self.folder / hand_path(turn - 2)).unlink()
            for to, expected in ((self.index, LOCKED), (self.other, f": {self.other}")):
                code, output = await _run("index", str(self.folder), "--to", str(to))
                right = expected in output and (code == 0) == (to == self.other)
                self.updates["refused" if expected == LOCKED else "updated"] += right
                if not right:
                    self.truth.blame("hgan index", output[-500:])
            await asyncio.sleep(max(0, started + (turn + 1) * seconds / number - time.monotonic()))

    def check_log(self, log: Path) -> None:
        """Look for errors in the log of the service."""
        for line in log.read_text().splitlines():
            if not line.startswith("{") or json.loads(line)["level"] not in ("info", "warning"):
                self.truth.blame("log", line[:2000])

    def check_end(self) -> None:
        """Compare the index with what was acknowledged, after the service has ended."""
        files = {path.relative_to(self.folder).as_posix() for path in photos_of(self.folder)}
        expected = files - self.truth.gone.keys()
        with open_index(self.index) as index:
            found = {entry.path for entry in index._store.entries()}
        for path in sorted(expected ^ found):
            kind = "lost photo" if path in expected else "photo that came back"
            self.truth.blame(kind, path)
        if not verify_index(self.index).good:
            self.truth.blame("damage", verify_index(self.index))
        report = index_folder(self.folder, self.index)
        if report != IndexReport(added=len(files - found), unchanged=len(files & found)):
            self.truth.blame("last update", report)
        if left := [path.name for path in self.folder.rglob(".*")]:
            self.truth.blame("temporary file", left)
        if self.exited is not None:
            self.truth.blame("service ended", self.exited)

    def results(self) -> dict[str, Any]:
        """All results as JSON values."""
        growth = self.memory["end"]["RssAnon"] / self.memory["warm"]["RssAnon"]
        quantiles = {
            name: np.quantile(found, [0.5, 0.99]).round(3).tolist()
            for name, found in self.seconds.items()
        }
        return {
            "photos": len(self.files),
            "statuses": {name: dict(found) for name, found in self.statuses.items()},
            "seconds": quantiles,
            "updates": dict(self.updates),
            "wrong": dict(self.truth.wrong),
            "examples": self.truth.examples,
            "memory": self.memory,
            "samples": self.samples,
            "growth": growth,
            "met": not self.truth.wrong and growth <= GROWTH,
        }


def prepare(scratch: Path, options: argparse.Namespace) -> Soak:
    """Index photos twice, and compute the score of each of them for each query."""
    folder, index, other = (scratch / name for name in ("photos", "index", "other.index"))
    copy_photos(options.photos, folder, options.number)
    files = photos_of(folder)
    index_folder(folder, index)
    shutil.copytree(index, other)
    texts = [Query(text) for text in read_queries(options.queries)[:WORDS]]
    contents = [path.read_bytes() for path in random.Random(0).sample(files, PHOTOS)]
    contents[0] = enlarged(contents[0])
    with open_index(index) as opened:
        queries = [*texts, *(Query(photo=data) for data in contents)]
        found = opened.find_many(queries, len(files), candidates=len(files))
    scores = [{hit.path.name: hit.score for hit in hits} for hits in found]
    words = [Asked(query.text, b"", known) for query, known in zip(texts, scores, strict=False)]
    photos = [Asked("", data, known) for data, known in zip(contents, scores[WORDS:], strict=True)]
    uploads = [upload_path(client, i) for client in range(options.clients) for i in range(EACH)]
    names = [path.name for path in files]
    allowed = {name: frozenset([name]) for name in names}
    allowed |= {hand_path(i): frozenset([names[i]]) for i in range(UPDATES)}
    for number, path in enumerate(uploads):
        allowed[path] = frozenset(names[(2 * number + i) % len(names)] for i in range(2))
    truth = Truth(allowed, dict.fromkeys(uploads, 0.0))
    return Soak(folder, index, other, files, words, photos, truth)


def photos_of(folder: Path) -> list[Path]:
    """All photos of a folder, which are JPEGs."""
    return sorted(folder.rglob("*.jpg"))


def hand_path(number: int) -> str:
    """The path of a photo that is put into the folder."""
    return f"by hand/{number}.jpg"


def enlarged(data: bytes) -> bytes:
    """A photo with a longer side of `LARGE` pixels, as cameras make them."""
    photo = Image.open(io.BytesIO(data))
    factor = LARGE / max(photo.size)
    size = round(photo.width * factor), round(photo.height * factor)
    file = io.BytesIO()
    photo.resize(size).save(file, "JPEG", quality=90)
    return file.getvalue()


def memory_of(process: int, index: Path) -> dict[str, int]:
    """The resident memory of a process in bytes, without mapped files (`RssAnon`) and of mapped
    files, which the system can take back at any time; and the size of its index on disk."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines)
    sizes = {name: 1024 * int(values[name].split()[0]) for name in ("RssAnon", "RssFile")}
    return sizes | {"disk": space_used(index)}


async def _run(*arguments: str) -> tuple[int | None, str]:
    """Run `hgan` with arguments; returns its exit status and its output."""
    command = [sys.executable, "-m", "hgan", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=subprocess.STDOUT)
    output, _ = await process.communicate()
    return process.returncode, output.decode()


def print_results(results: dict[str, Any]) -> None:
    """Print one table of statuses and latencies, then what was wrong, and the memory."""
    print(
        f"{results['photos']:,} photos, {results['clients']} clients, {results['minutes']:g} min\n"
    )
    print(f"{'':10}{'requests':>10}{'p50':>9}{'p99':>9}  statuses")
    for name, statuses in sorted(results["statuses"].items()):
        middle, high = results["seconds"].get(name, (math.nan, math.nan))
        shown = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
        total = sum(statuses.values())
        print(f"{name:10}{total:10,}{middle:8.2f}s{high:8.2f}s  {shown}")
    print(f"\n{'hgan index beside it':24}{results['updates']}")
    print(f"{'wrong answers':24}{sum(results['wrong'].values())}  {results['wrong'] or ''}")
    for example in results["examples"]:
        print(f"  {example}")
    for name, memory in results["memory"].items():
        parts = ", ".join(f"{kind} {size / 2**20:.0f}" for kind, size in memory.items())
        print(f"{f'memory, {name}':24}{parts} MB")
    samples = " ".join(f"{size / 2**20:.0f}" for size in results["samples"])
    print(f"{f'RssAnon each {SAMPLE:g} s':24}{samples} MB")
    met = "met" if results["growth"] <= GROWTH else "MISSED"
    print(f"{'memory, end / warm':24}{results['growth']:.3f}  ({met}: <= {GROWTH:g})")


if __name__ == "__main__":
    main()
