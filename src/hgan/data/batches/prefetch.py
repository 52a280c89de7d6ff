"""Make batches in a thread while the device computes."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterable[Item], ahead: int = 2) -> Iterator[Item]:
    """The items in their order; up to `ahead` of them are made before they are asked for.

    An exception of `items` is raised where its item would have been.
    """
    source, end = iter(items), object()
    with ThreadPoolExecutor(1, "batches") as pool:
        waiting = deque(pool.submit(next, source, end) for _ in range(ahead))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, source, end))
                yield item  # type: ignore[misc]  # not the end
        finally:
            for future in waiting:
                future.cancel()
