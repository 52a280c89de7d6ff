"""The state that all routes share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from hgan.index.store.contract import ReplacedError
from hgan.search.finder import Hit
from hgan.search.query import Query
from hgan.serve.library import Library
from hgan.serve.metrics import Metrics
from hgan.serve.pool import Pool
from hgan.serve.settings import Settings
from hgan.serve.thumbnails import Thumbnails

Answer = TypeVar("Answer")


@dataclass
class Service:
    """An open library and the thread pools that use it."""

    library: Library
    settings: Settings
    metrics: Metrics
    texts: Pool = field(init=False)
    """Pool for functions that take milliseconds."""
    photos: Pool = field(init=False)
    """Pool for functions that decode photos; few run at once, and text queries do not wait for
    them."""
    thumbnails: Thumbnails = field(init=False)
    _probe: "asyncio.Future[list[Hit]] | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        settings = self.settings
        self.texts = Pool("texts", settings.text_workers, settings.queue, settings.results)
        self.photos = Pool("photos", settings.photo_workers, settings.queue, settings.results)
        self.thumbnails = Thumbnails(settings.thumbnail_bytes)
        self.metrics.watch("texts", lambda: self.texts.inside)
        self.metrics.watch("photos", lambda: self.photos.inside)

    async def ready(self) -> None:
        """Search once, as a check. Concurrent calls share one search, so that frequent calls are
        cheap.

        Raises:
            HganError: the index or the model failed.
            HTTPException: 503, too many requests are waiting.
        """
        if self._probe is None or self._probe.done():
            find = self.library.index.find
            self._probe = asyncio.ensure_future(self.texts.run(find, Query("a photo"), 1))
        await asyncio.shield(self._probe)

    def change(self, function: Callable[[Library], Answer]) -> Answer:
        """Call a function that changes the index; again, if a new generation has replaced the index
        before it was changed."""
        library = self.library
        try:
            return function(library)
        except ReplacedError:
            if self.library is library:  # the new generation cannot be opened yet
                raise
            return function(self.library)

    def close(self) -> None:
        """Wait for running requests, then close the index."""
        self.texts.close()
        self.photos.close()
        self.library.close()


async def _service(request: Request) -> Service:  # async: FastAPI runs plain functions in a thread
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(_service)]
