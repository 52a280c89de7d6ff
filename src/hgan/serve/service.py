"""What the routes of one service share."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from hgan.search.finder import Hit
from hgan.search.query import Query
from hgan.serve.library import Library
from hgan.serve.metrics import Metrics
from hgan.serve.pool import Pool
from hgan.serve.settings import Settings
from hgan.serve.thumbnails import Thumbnails


@dataclass
class Service:
    """An open library, and the threads that read it."""

    library: Library
    settings: Settings
    metrics: Metrics
    texts: Pool = field(init=False)
    """For what takes milliseconds."""
    photos: Pool = field(init=False)
    """For what decodes photos: few at once, and no text query waits behind them."""
    thumbnails: Thumbnails = field(init=False)
    _trying: "asyncio.Future[list[Hit]] | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        settings = self.settings
        self.texts = Pool("texts", settings.text_workers, settings.queue)
        self.photos = Pool("photos", settings.photo_workers, settings.queue)
        self.thumbnails = Thumbnails(settings.thumbnail_bytes)
        self.metrics.watch("texts", lambda: self.texts.inside)
        self.metrics.watch("photos", lambda: self.photos.inside)

    async def ready(self) -> None:
        """Search once; all who ask at the same time are told of one and the same search, so that
        asking costs nothing, as often as anybody does.

        Raises:
            HganError: the index or the model failed.
            HTTPException: 503, too much is waiting.
        """
        if self._trying is None or self._trying.done():
            find = self.library.index.find
            self._trying = asyncio.ensure_future(self.texts.run(find, Query("a photo"), 1))
        await asyncio.shield(self._trying)

    def close(self) -> None:
        """Let everything that was asked for end, then let go of the index."""
        self.texts.close()
        self.photos.close()
        self.library.close()


async def _service(request: Request) -> Service:  # async: a plain function gets a thread
    service: Service = request.app.state.service
    return service


Serving = Annotated[Service, Depends(_service)]
