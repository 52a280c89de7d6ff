"""The service: an index, its routes, and the layers around them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from hgan.index.store.open import Target
from hgan.serve.library import open_library
from hgan.serve.metrics import Metrics
from hgan.serve.middleware.limits import Limits
from hgan.serve.middleware.observe import HEADER, Observe
from hgan.serve.problems import handle_problems
from hgan.serve.routes import items, photos, search, status
from hgan.serve.routes.page import page_router
from hgan.serve.service import Service
from hgan.serve.settings import Settings
from hgan.version import __version__


def create_app(index: Target, settings: Settings | None = None) -> FastAPI:
    """An ASGI app that serves an index; it lets go of the index when it is shut down.

    Args:
        index: a folder, or the address of a collection on a server.
        settings: by default those of `Settings`.

    Raises:
        IndexingError: there is no index, or another process has it open.
        BundleError: the bundle that made it is missing or damaged.
    """
    settings = settings or Settings()
    figures = Metrics()
    service = Service(open_library(index, settings, figures), settings, figures)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            service.close()

    app = FastAPI(
        title="hgan",
        summary="Search photos with words or with a photo.",
        version=__version__,
        # Their pages load scripts from elsewhere; the service needs no other network.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = service
    for routes in (search, photos, items, status):
        app.include_router(routes.router)
    app.include_router(page_router())
    handle_problems(app)
    # The last one added is the outermost.
    app.add_middleware(Limits, settings=settings)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Content-Type", "X-API-Key", HEADER],
            expose_headers=[HEADER, "Retry-After"],
        )
    app.add_middleware(Observe, metrics=figures)
    return app
