"""Thread pools with a bounded queue, so that the event loop is never blocked."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from starlette.exceptions import HTTPException

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class Pool:
    """A thread pool; when its queue is full, new functions are rejected with status 503."""

    def __init__(self, name: str, workers: int, queue: int) -> None:
        """Run at most `workers` functions at once, and let at most `queue` wait."""
        self._threads = ThreadPoolExecutor(workers, f"hgan-{name}")
        self._room = workers + queue
        self._inside = 0
        self._counting = Lock()

    @property
    def inside(self) -> int:
        """The number of functions that run or wait."""
        return self._inside

    async def run(
        self,
        function: Callable[Arguments, Answer],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Answer:
        """Call a function in a thread.

        If the caller is cancelled while the function waits, it is removed from the queue; a
        function that already runs is counted until it returns.

        Raises:
            HTTPException: 503, the queue is full.
        """
        with self._counting:
            if self._inside >= self._room:
                raise HTTPException(
                    503, "too many requests are waiting; try again", {"Retry-After": "1"}
                )
            self._inside += 1
        # The thread logs with the id of this request.
        context = copy_context()
        future = self._threads.submit(lambda: context.run(function, *args, **kwargs))
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Wait until all functions have returned."""
        self._threads.shutdown(wait=True)

    def _done(self, _future: "Future[Any]") -> None:
        with self._counting:
            self._inside -= 1
