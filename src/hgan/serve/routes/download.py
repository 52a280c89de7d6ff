"""The route that sends several photos as one archive."""

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from hgan.index.store.contract import Entry
from hgan.serve.downloads import archive, check_size
from hgan.serve.keys import SearchAccess, SearchRoute
from hgan.serve.library import Library
from hgan.serve.middleware.limits import charge
from hgan.serve.problems import problem_responses
from hgan.serve.schemas import DownloadRequest
from hgan.serve.service import ServiceDependency

router = APIRouter(
    prefix="/v1", tags=["photos"], dependencies=[SearchAccess], route_class=SearchRoute
)
_BYTES = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/download",
    response_class=StreamingResponse,
    responses={
        200: {"description": "A ZIP archive.", "content": {"application/zip": _BYTES}},
        **problem_responses(400, 401, 404, 413),
    },
)
async def download(
    body: DownloadRequest, service: ServiceDependency, request: Request
) -> StreamingResponse:
    """The original files of photos as one ZIP archive, without folders.

    Files that can no longer be read are left out, and are listed in a file of the archive.
    """
    charge(request.scope, len(body.ids))
    library = service.library
    entries = await service.texts.run_for(len(body.ids), _entries, library, body)
    headers = {"Content-Disposition": 'attachment; filename="photos.zip"'}
    parts = archive(library, service.photos, entries)
    return StreamingResponse(parts, headers=headers, media_type="application/zip")


def _entries(library: Library, body: DownloadRequest) -> list[Entry]:
    """The photos, each once.

    Raises:
        HTTPException: 404, one of them is not in the index; 413, they are too large.
    """
    wanted = list(dict.fromkeys(library.ids.stored(key) for key in body.ids))
    found = {entry.id: entry for entry in library.entries_of(wanted)}
    if len(found) < len(wanted):
        raise HTTPException(404, f"{len(wanted) - len(found)} of these photos are not in the index")
    entries = [found[key] for key in wanted]
    check_size(entries)
    return entries
