"""Routes for operators: status, health, readiness and metrics."""

from fastapi import APIRouter
from starlette.responses import Response

from hgan.errors import HganError
from hgan.serve.keys import SearchAccess
from hgan.serve.logs import LOG
from hgan.serve.problems import RETRY_LATER, problem, problem_responses
from hgan.serve.schemas import BundleInfo, Engine, Health, Status
from hgan.serve.service import Service, ServiceDependency
from hgan.serve.thumbnails import Size
from hgan.version import __version__

router = APIRouter(tags=["status"])


@router.get("/v1/status", dependencies=[SearchAccess], responses=problem_responses(401))
async def status(service: ServiceDependency) -> Status:
    """The index and the model that are served."""
    return await service.texts.run(_status, service)


@router.get("/health", responses=problem_responses())
async def health() -> Health:
    """Whether the service runs."""
    return Health(status="alive")


@router.get("/ready", response_model=Health, responses=problem_responses())
async def ready(service: ServiceDependency) -> Health | Response:
    """Whether the service can search; status 503 if it cannot."""
    try:
        await service.ready()
    except HganError as error:
        LOG.error("not ready: %s", error)
        return problem(503, "the index cannot be searched", RETRY_LATER)
    return Health(status="ready")


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Metrics for Prometheus.", "content": {"text/plain": {}}},
        **problem_responses(),
    },
)
async def metrics(service: ServiceDependency) -> Response:
    """Metrics in the text format of Prometheus."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _status(service: Service) -> Status:
    library = service.library
    bundle = library.index.bundle
    return Status(
        version=__version__,
        name=library.name,
        photos=len(library.index),
        adding=library.running,
        index=Engine.of(library.facts()),
        bundle=BundleInfo(name=bundle.name, id=bundle.id, languages=list(bundle.languages)),
        weights=bundle.config.weights,
        thumbnails=list(Size),
        manageable=bool(service.settings.keys),
    )
