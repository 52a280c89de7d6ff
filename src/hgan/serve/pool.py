"""Thread pools with a bounded queue, so that the event loop is never blocked.

What is admitted is work, not only requests: each function has a cost, and the costs of all
functions that run or wait have a bound. When the caller of a running function is cancelled, the
function is told to stop; see `hgan.serve.stopping`.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import partial
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from starlette.exceptions import HTTPException

from hgan.serve.stopping import new_stop

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class Pool:
    """A thread pool; when its queue is full, new functions are rejected with status 503."""

    def __init__(self, name: str, workers: int, queue: int, budget: int | None = None) -> None:
        """Run at most `workers` functions at once, and let at most `queue` wait.

        Args:
            name: name of the threads.
            workers: number of threads.
            queue: maximum number of functions that wait.
            budget: maximum sum of the costs of all functions that run or wait; None for no limit.
        """
        self._threads = ThreadPoolExecutor(workers, f"hgan-{name}")
        self._room = workers + queue
        self._budget = budget
        self._futures: set[Future[Any]] = set()
        self._cost = 0
        self._counting = Lock()

    @property
    def inside(self) -> int:
        """The number of functions that run or wait."""
        return len(self._futures)

    async def run(
        self,
        function: Callable[Arguments, Answer],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Answer:
        """Call a function of cost 1 in a thread; see `run_for`."""
        return await self.run_for(1, function, *args, **kwargs)

    async def run_for(
        self,
        cost: int,
        function: Callable[Arguments, Answer],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Answer:
        """Call a function of this cost in a thread.

        If the caller is cancelled while the function waits, it is removed from the queue; a
        function that already runs is told to stop, and is counted until it returns. If it can no
        longer stop, its result is returned in spite of the cancellation.

        Raises:
            HTTPException: 503, the queue is full.
        """
        with self._counting:
            full = self._budget is not None and self._cost + cost > self._budget
            if full or len(self._futures) >= self._room:
                raise HTTPException(
                    503, "too many requests are waiting; try again", {"Retry-After": "1"}
                )
            # The thread logs with the id of this request.
            context = copy_context()
            stop = context.run(new_stop)
            future = self._threads.submit(lambda: context.run(function, *args, **kwargs))
            self._futures.add(future)
            self._cost += cost
        future.add_done_callback(partial(self._done, cost))
        answer = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            if stop.stop():
                future.cancel()  # at once, if it still waits
                answer.cancel()
                raise
            return await answer

    def drain(self) -> None:
        """Wait until the functions that run or wait now have returned; others may follow them."""
        with self._counting:
            futures = list(self._futures)
        wait(futures)

    def close(self) -> None:
        """Wait until all functions have returned."""
        self._threads.shutdown(wait=True)

    def _done(self, cost: int, future: "Future[Any]") -> None:
        with self._counting:
            self._futures.discard(future)
            self._cost -= cost
