"""Threads that do the work, so that the event loop never waits, and a line that has an end."""

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
    """Threads of one kind; who finds the line full is told to come back."""

    def __init__(self, name: str, workers: int, queue: int) -> None:
        """At most `workers` run and `queue` wait."""
        self._threads = ThreadPoolExecutor(workers, f"hgan-{name}")
        self._room = workers + queue
        self._inside = 0
        self._counting = Lock()

    @property
    def inside(self) -> int:
        """How many run or wait."""
        return self._inside

    async def run(
        self,
        function: Callable[Arguments, Answer],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Answer:
        """Call a function in a thread.

        A caller that gives up takes its place in the line with it; what runs already keeps its own
        until it has ended.

        Raises:
            HTTPException: 503, the line is full.
        """
        with self._counting:
            if self._inside >= self._room:
                raise HTTPException(
                    503, "too many requests are waiting; try again", {"Retry-After": "1"}
                )
            self._inside += 1
        # The log's lines of a thread carry the id of the request that it works for.
        context = copy_context()
        future = self._threads.submit(lambda: context.run(function, *args, **kwargs))
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let everything that was asked for end."""
        self._threads.shutdown(wait=True)

    def _leave(self, _future: "Future[Any]") -> None:
        with self._counting:
            self._inside -= 1
