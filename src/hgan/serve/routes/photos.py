"""Routes that return a photo, its thumbnail, its video and its metadata, by id."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header
from fastapi import Query as Parameter
from starlette.responses import FileResponse, Response

from hgan.answers import Item
from hgan.serve.keys import SearchAccess
from hgan.serve.library import Library
from hgan.serve.problems import problem_responses
from hgan.serve.service import Service, ServiceDependency
from hgan.serve.thumbnails import Size, etag

router = APIRouter(prefix="/v1/items/{key}", tags=["photos"], dependencies=[SearchAccess])

CACHE = "private, max-age=3600"
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_MEDIA_TYPES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/tiff",
    "image/avif",
    "image/heic",
    "image/x-dcraw",
)
_VIDEO_TYPES = (
    "video/mp4",
    "video/quicktime",
    "video/webm",
    "video/x-matroska",
    "video/3gpp",
    "video/mpeg",
    "video/mp2t",
    "video/x-msvideo",
    "video/x-ms-wmv",
    "video/x-flv",
)


@router.get("", responses=problem_responses(401, 404))
async def item(key: UUID, service: ServiceDependency) -> Item:
    """The stored metadata of a photo."""
    entry = await service.texts.run(service.library.entry, key)
    return Item.of(entry, service.library.ids.public(entry.id))


@router.get(
    "/thumbnail",
    response_class=Response,
    responses={
        200: {"description": "A JPEG.", "content": {"image/jpeg": _BYTES}},
        304: {"description": "The thumbnail that If-None-Match names has not changed."},
        **problem_responses(401, 404),
    },
)
async def thumbnail(
    key: UUID,
    service: ServiceDependency,
    size: Annotated[
        Size, Parameter(description="Length of the longer side in pixels.")
    ] = Size.MEDIUM,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """A small upright JPEG of a photo, without its metadata."""
    return await service.photos.run(_thumbnail, service, key, size, if_none_match)


@router.get(
    "/photo",
    response_class=FileResponse,
    responses={
        200: {"description": "The file.", "content": dict.fromkeys(_MEDIA_TYPES, _BYTES)},
        206: {"description": "The requested range of the file."},
        **problem_responses(400, 401, 404, 416),
    },
)
async def photo(key: UUID, service: ServiceDependency) -> Response:
    """The original file of a photo; of a video, the frame with this id, as a JPEG."""
    return await service.photos.run(_photo, service.library, key)


@router.get(
    "/video",
    response_class=FileResponse,
    responses={
        200: {"description": "The file.", "content": dict.fromkeys(_VIDEO_TYPES, _BYTES)},
        206: {"description": "The requested range of the file, for players that seek."},
        **problem_responses(400, 401, 404, 416),
    },
)
async def video(key: UUID, service: ServiceDependency) -> Response:
    """The original file of the video that a frame is of."""
    return await service.texts.run(_video, service.library, key)


def _thumbnail(service: Service, key: UUID, size: Size, known: str | None) -> Response:
    entry = service.library.entry(key)
    with service.library.original(entry) as original:
        tag = etag(original.version, size)
        headers = {"ETag": tag, "Cache-Control": CACHE}
        if known is not None and tag in (one.strip() for one in known.split(",")):
            return Response(status_code=304, headers=headers)
        made = service.thumbnails.get(entry.id, tag, size, original.read, entry.path)
        return Response(made, 200, headers, "image/jpeg")


def _photo(library: Library, key: UUID) -> Response:
    with library.original(library.entry(key)) as original:
        return original.response({"Cache-Control": CACHE})


def _video(library: Library, key: UUID) -> Response:
    return library.video(library.entry(key), {"Cache-Control": CACHE})
