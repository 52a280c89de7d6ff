"""Routes for operators, and what says what is served."""

from fastapi import APIRouter
from starlette.responses import Response

from hgan.errors import HganError
from hgan.serve.keys import Searcher
from hgan.serve.logs import LOG
from hgan.serve.problems import COME_BACK, documented, problem
from hgan.serve.schemas import BundleName, Engine, Health, Status
from hgan.serve.service import Service, Serving
from hgan.serve.thumbnails import Size
from hgan.version import __version__

router = APIRouter(tags=["status"])


@router.get("/v1/status", dependencies=[Searcher], responses=documented(401))
async def status(serving: Serving) -> Status:
    """What is served."""
    return await serving.texts.run(_status, serving)


@router.get("/health", responses=documented())
async def health() -> Health:
    """Whether the service lives."""
    return Health(status="alive")


@router.get("/ready", response_model=Health, responses=documented())
async def ready(serving: Serving) -> Health | Response:
    """Whether the service can search; 503 where it cannot."""
    try:
        await serving.ready()
    except HganError as error:
        LOG.error("not ready: %s", error)
        return problem(503, "the index cannot be searched", COME_BACK)
    return Health(status="ready")


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Figures for Prometheus.", "content": {"text/plain": {}}},
        **documented(),
    },
)
async def metrics(serving: Serving) -> Response:
    """Figures, in Prometheus' text format."""
    return Response(serving.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _status(serving: Service) -> Status:
    library = serving.library
    bundle = library.index.bundle
    return Status(
        version=__version__,
        name=library.name,
        photos=len(library.index),
        adding=library.running,
        index=Engine.of(library.facts()),
        bundle=BundleName(name=bundle.config.name, id=bundle.id),
        weights=bundle.config.weights,
        thumbnails=list(Size),
        manageable=bool(serving.settings.keys),
    )
