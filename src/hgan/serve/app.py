"""The ASGI app: an index, the routes, and the middleware around them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from hgan.index.store.open import Target
from hgan.runtime.bundle import Bundle
from hgan.serve.library import open_library
from hgan.serve.metrics import Metrics
from hgan.serve.middleware.limits import LimitsMiddleware
from hgan.serve.middleware.observe import HEADER, ObserveMiddleware
from hgan.serve.middleware.origins import OriginsMiddleware
from hgan.serve.problems import handle_problems
from hgan.serve.renewal import renewing
from hgan.serve.routes import download, items, photos, search, status, timeline
from hgan.serve.routes.page import page_router
from hgan.serve.service import Service
from hgan.serve.settings import Settings
from hgan.version import __version__


def create_app(
    index: Target, settings: Settings | None = None, bundle: Bundle | None = None
) -> FastAPI:
    """Create an ASGI app that serves an index, and closes the index at shutdown.

    Args:
        index: a folder, or the address of a collection on a server.
        settings: settings of the service; by default `Settings()`.
        bundle: the model that made the index; by default from the folder where it was.

    Raises:
        IndexingError: there is no index, it was made with another bundle, or another process has it
            open.
        BundleError: the bundle that the index was made with is missing or damaged.
    """
    settings = settings or Settings()
    metrics = Metrics()
    service = Service(open_library(index, settings, metrics, bundle), settings, metrics)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            with renewing(service):
                yield
        finally:
            service.close()

    app = FastAPI(
        title="hgan",
        summary="Search photos with words or with a photo.",
        version=__version__,
        # These pages load scripts from other hosts; the service must work without a network.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = service
    for routes in (search, photos, items, timeline, download, status):
        app.include_router(routes.router)
    app.include_router(page_router())
    handle_problems(app)
    # The middleware that is added last is the outermost.
    app.add_middleware(LimitsMiddleware, settings=settings)
    app.add_middleware(OriginsMiddleware, settings=settings)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Content-Type", "X-API-Key", HEADER],
            expose_headers=[HEADER, "Retry-After"],
        )
    app.add_middleware(ObserveMiddleware, metrics=metrics)
    return app
