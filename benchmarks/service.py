"""Measure the throughput and latency of the service under load, compared with in-process searches.

    python benchmarks/service.py
    python benchmarks/service.py --index INDEX --seconds 10

Starts `hgan serve` in a separate process, and sends real captions as queries over the loopback
interface from many clients at the same time; each client sends its next query when it has received
the answer. Before and after this, the same queries are run in this process with `hgan.open_index`,
with one thread and with as many threads as in the service. The service is compared with the fastest
of these. It shares the processors with the clients, which send prepared requests and do not parse
the answers.

Without --index, the photos of Flickr8k in $HGAN_DATA are first indexed into a temporary folder.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from hgan.index.indexer import index_folder
from hgan.index.store.open import read_manifest
from hgan.runtime.formats import PHOTO
from hgan.search.searcher import Index, open_index
from hgan.serve.settings import Settings

TOP = 10
RATIO, SPREAD, GROWTH = 0.6, 10.0, 1.10
"""Targets: minimum ratio of the throughput to the in-process throughput; maximum ratio of p99 to
p50; maximum ratio of memory at the end to memory after the warm-up."""


def main() -> None:
    """Measure the service and in-process searches, and compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("HGAN_DATA", "data")) / "flickr8k"
    parser.add_argument("--photos", type=Path, default=data / "images", help="folder of photos")
    parser.add_argument("--number", type=int, help="number of photos to index; default: all")
    parser.add_argument("--index", type=Path, help="an existing index, instead of --photos")
    parser.add_argument("--queries", type=Path, default=data / "captions.jsonl", help="captions")
    parser.add_argument("--clients", type=int, default=64, help="number of concurrent clients")
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of the load")
    options = parser.parse_args()
    queries = read_queries(options.queries)
    with tempfile.TemporaryDirectory() as scratch:
        index = options.index or make_index(options.photos, options.number, Path(scratch))
        root = read_manifest(index).root
        print(f"{index}: photos of {root}; {options.clients} clients, {options.seconds:g} s\n")
        in_process = [measure_index(index, queries, options.seconds / 6)]
        with serving(index) as (process, url):
            load = asyncio.run(
                load_service(url, queries, options.clients, options.seconds, process.pid)
            )
        in_process.append(measure_index(index, queries, options.seconds / 6))
    report(in_process, load, options.seconds)


def read_queries(path: Path) -> list[str]:
    """All captions in a random order, which is always the same."""
    lines = path.read_text(encoding="utf-8").splitlines()
    captions = [caption for line in lines for caption in json.loads(line)["captions"]]
    random.Random(0).shuffle(captions)
    return captions


def make_index(photos: Path, number: int | None, scratch: Path) -> Path:
    """Index the first photos of a folder; by default, all of them."""
    if number is not None:
        found = sorted(p for p in photos.rglob("*") if p.suffix.lower() in PHOTO.suffixes)
        photos = scratch / "photos"
        photos.mkdir()
        for path in found[:number]:
            shutil.copy(path, photos)
    index_folder(photos, scratch / "index")
    return scratch / "index"


def measure_index(path: Path, queries: list[str], seconds: float) -> dict[int, float]:
    """Queries per second in this process, by number of threads."""
    with open_index(path) as index:
        index.search("a photo", TOP)
        return {
            threads: _throughput(index, queries, seconds / 2, threads)
            for threads in (1, Settings().text_workers)
        }


def _throughput(index: Index, queries: list[str], seconds: float, threads: int) -> float:
    start = time.perf_counter()

    def search(worker: int) -> int:
        done = 0
        while time.perf_counter() - start < seconds:
            index.search(queries[(worker + threads * done) % len(queries)], TOP)
            done += 1
        return done

    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(search, range(threads)))
    return done / (time.perf_counter() - start)


@contextmanager
def serving(
    index: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run `hgan serve` during the `with` block; yield its process and URL.

    Args:
        index: the index.
        arguments: more arguments.
        env: more environment variables.
        log: file for the log; by default it is dropped.
    """
    with log.open("w+") if log else tempfile.TemporaryFile("w+") as file:
        command = [sys.executable, "-m", "hgan", "serve", str(index), "--port", "0", *arguments]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env={**os.environ, **(env or {})},
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if "http://" not in line:
                file.seek(0)
                raise SystemExit(f"the service did not start: {line}{file.read()}")
            yield process, line[line.index("http://") :].split()[0]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


@dataclass
class Load:
    """Measurements of the service under load."""

    seconds: list[float] = field(default_factory=list)
    """Latency of each successful request."""
    errors: dict[str, int] = field(default_factory=dict)
    """Number of failed requests, by reason."""
    memory: list[int] = field(default_factory=list)
    """Memory of the service in bytes, at the start, at half time and at the end."""

    def fail(self, reason: str) -> None:
        """Count a failed request."""
        self.errors[reason] = self.errors.get(reason, 0) + 1


async def load_service(
    url: str, queries: list[str], clients: int, seconds: float, process: int
) -> Load:
    """Send queries from many clients for some time, after a warm-up."""
    place = urlsplit(url)
    assert place.hostname
    requests = [_request(query, place.netloc) for query in queries]
    workers = [(place.hostname, place.port, cycle(requests[i::clients])) for i in range(clients)]
    warm_up = Load()
    until = time.perf_counter() + min(5.0, seconds / 4)
    await asyncio.gather(*(_run_client(*client, warm_up, until) for client in workers))
    load = Load()
    start = time.perf_counter()
    running = asyncio.gather(*(_run_client(*client, load, start + seconds) for client in workers))
    for moment in (0.0, seconds / 2, seconds):
        await asyncio.sleep(max(start + moment - time.perf_counter(), 0))
        load.memory.append(_resident(process))
    await running
    return load


def _request(text: str, host: str) -> bytes:
    body = json.dumps({"text": text, "k": TOP}).encode()
    head = (
        f"POST /v1/search HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _run_client(
    host: str, port: int, requests: Iterator[bytes], load: Load, until: float
) -> None:
    """Send one request after another over one connection."""
    writer: asyncio.StreamWriter | None = None
    while (start := time.perf_counter()) < until:
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(host, port)
            writer.write(next(requests))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, _, rest = head.partition(b"content-length:")
            await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            load.fail(repr(error))
            if writer is not None:
                writer.close()
                writer = None
            await asyncio.sleep(0.1)
            continue
        status = head[9:12].decode()
        if status == "200":
            load.seconds.append(time.perf_counter() - start)
        else:
            load.fail(f"status {status}")
    if writer is not None:
        writer.close()


def _resident(process: int) -> int:
    """Memory of a process in bytes, without memory-mapped files."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def report(in_process: list[dict[int, float]], load: Load, seconds: float) -> None:
    """Print the measurements, with their targets."""
    for threads in in_process[0]:
        rates = [found[threads] for found in in_process]
        name = f"in process, {threads} thread{'s'[: threads - 1]}"
        twice = f"(before, after: {rates[0]:.1f}, {rates[1]:.1f})"
        print(f"{name:32}{np.mean(rates):8.1f} queries/s  {twice}")
    best = max(np.mean([found[threads] for found in in_process]) for threads in in_process[0])
    served = len(load.seconds) / seconds
    print(f"{'service':32}{served:8.1f} queries/s")
    ratio = served / best
    bar = _bar(ratio >= RATIO, f">= {RATIO:.0%}")
    print(f"{'service / in process':32}{ratio:8.1%}  {bar}\n")
    errors = sum(load.errors.values())
    print(f"{'errors':32}{errors:8}  {_bar(not errors, '0')}", *load.errors.items())
    middle, high = np.quantile(load.seconds or [np.nan], [0.5, 0.99])
    print(f"{'p50, p99':32}{middle * 1e3:8.1f} ms, {high * 1e3:.1f} ms")
    spread = high / middle
    print(f"{'p99 / p50':32}{spread:8.1f}  {_bar(spread <= SPREAD, f'<= {SPREAD:g}')}")
    first, half, last = (size / 2**20 for size in load.memory)
    flat = last <= GROWTH * first
    print(
        f"{'memory: start, half, end':32}{first:8.0f} MB, {half:.0f} MB, {last:.0f} MB  "
        f"{_bar(flat, f'end <= {GROWTH:g} x start')}"
    )


def _bar(met: bool, bar: str) -> str:
    return f"({'met' if met else 'MISSED'}: {bar})"


if __name__ == "__main__":
    main()
