"""Decode photos in threads while the model runs, in ordered batches that list their failures."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

import numpy as np

from hgan.errors import DataError

Item = TypeVar("Item")


@dataclass
class Batch(Generic[Item]):
    """Decoded items with their arrays, and failed items with the reason."""

    items: list[Item] = field(default_factory=list)
    arrays: list[np.ndarray] = field(default_factory=list)
    failed: list[tuple[Item, DataError]] = field(default_factory=list)


def stream(
    items: Iterable[Item],
    load: Callable[[Item], np.ndarray],
    batch_size: int,
    threads: int | None = None,
) -> Iterator[Batch[Item]]:
    """Load items in threads, a few batches ahead, and yield them in order in batches.

    Args:
        items: what to load; consumed lazily.
        load: runs in a thread; a `DataError` that it raises puts the item in `Batch.failed`.
        batch_size: items for each batch; failed ones make it smaller, or empty.
        threads: decoding threads, by default one for each processor.
    """
    source = iter(items)
    with ThreadPoolExecutor(threads or os.cpu_count() or 1, "decode") as pool:
        waiting: deque[tuple[Item, Future[np.ndarray]]] = deque()
        try:
            while True:
                for item in islice(source, 3 * batch_size - len(waiting)):
                    waiting.append((item, pool.submit(load, item)))
                if not waiting:
                    return
                yield _collect(waiting, batch_size)
        finally:
            for _, future in waiting:
                future.cancel()


def _collect(waiting: deque[tuple[Item, Future[np.ndarray]]], batch_size: int) -> Batch[Item]:
    batch: Batch[Item] = Batch()
    for _ in range(min(batch_size, len(waiting))):
        item, future = waiting.popleft()
        try:
            array = future.result()
        except DataError as error:
            batch.failed.append((item, error))
        else:
            batch.items.append(item)
            batch.arrays.append(array)
    return batch
