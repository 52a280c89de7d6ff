"""The byte budget of decoding: never exceeded, in order of arrival, and given back."""

import platform
import subprocess
import sys
import threading
import time

import pytest

from hgan.runtime.memory import BUDGET_BYTES, PHOTO_BYTES, ByteBudget, return_memory

SOON = 20.0
"""Seconds until a thread must have finished."""


def test_the_total_is_never_exceeded() -> None:
    budget = ByteBudget(100)
    lock = threading.Lock()
    used = largest = 0

    def decode(size: int) -> None:
        nonlocal used, largest
        for _ in range(20):
            with budget.reserve(size):
                with lock:
                    used += size
                    largest = max(largest, used)
                time.sleep(0.0005)
                with lock:
                    used -= size

    threads = [threading.Thread(target=decode, args=(size,)) for size in (10, 30, 50, 60, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert not any(thread.is_alive() for thread in threads)
    assert used == 0 and 50 <= largest <= 100


def test_small_photos_do_not_overtake_a_large_one() -> None:
    budget = ByteBudget(100)
    order: list[str] = []

    def decode(name: str, size: int) -> None:
        with budget.reserve(size):
            order.append(name)

    threads = [
        threading.Thread(target=decode, args=("large", 100)),
        threading.Thread(target=decode, args=("small", 1)),
    ]
    with budget.reserve(50):
        for waiting, thread in enumerate(threads, 1):
            thread.start()
            until = time.monotonic() + SOON
            while len(budget._waiting) < waiting and time.monotonic() < until:
                time.sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join(SOON)
    assert order == ["large", "small"]


def test_more_than_the_total_waits_for_all_of_it() -> None:
    budget = ByteBudget(100)
    with budget.reserve(10**12):
        pass
    with budget.reserve(100):
        pass


def test_an_error_gives_the_bytes_back() -> None:
    budget = ByteBudget(100)
    for _ in range(3):
        with pytest.raises(ValueError), budget.reserve(100):
            raise ValueError
    return_memory()
    assert 2 * PHOTO_BYTES == BUDGET_BYTES <= 800 * 10**6


HEAPS = """
import ctypes, sys, threading
from hgan.runtime.memory import share_heaps
if sys.argv[1] == "share":
    share_heaps()
waiting, done = threading.Barrier(13), threading.Event()
def allocate():
    held = [bytes(2000) for _ in range(100)]
    waiting.wait()
    done.wait()
threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads:
    thread.start()
waiting.wait()
library = ctypes.CDLL(None)
library.malloc_info(0, ctypes.c_void_p.in_dll(library, "stdout"))
library.fflush(None)
done.set()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="heaps of glibc")
def test_threads_share_two_heaps() -> None:
    counts = {}
    for how in ("share", "default"):
        command = [sys.executable, "-c", HEAPS, how]
        output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        counts[how] = output.count("<heap nr=")
    assert counts["share"] <= 2 < counts["default"]
