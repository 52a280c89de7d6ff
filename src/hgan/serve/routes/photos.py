"""Routes that show photos of the index, each by its id."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header
from fastapi import Query as Parameter
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response

from hgan.errors import DataError
from hgan.index.store.contract import Entry
from hgan.serve.keys import Searcher
from hgan.serve.library import Library
from hgan.serve.problems import documented
from hgan.serve.schemas import Item
from hgan.serve.service import Service, Serving
from hgan.serve.thumbnails import Size, etag

router = APIRouter(prefix="/v1/items/{key}", tags=["photos"], dependencies=[Searcher])

CACHE = "private, max-age=3600"
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/tiff")


@router.get("", responses=documented(401, 404))
async def item(key: UUID, serving: Serving) -> Item:
    """What the index remembers of a photo."""
    return Item.of(await serving.texts.run(serving.library.entry, str(key)))


@router.get(
    "/thumbnail",
    response_class=Response,
    responses={
        200: {"description": "A JPEG.", "content": {"image/jpeg": _BYTES}},
        304: {"description": "The one that If-None-Match names is still good."},
        **documented(401, 404),
    },
)
async def thumbnail(
    key: UUID,
    serving: Serving,
    size: Annotated[Size, Parameter(description="Of the longer side.")] = Size.MEDIUM,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """A small JPEG of a photo, upright, without what the file says of place and camera."""
    return await serving.photos.run(_thumbnail, serving, str(key), size, if_none_match)


@router.get(
    "/photo",
    response_class=FileResponse,
    responses={
        200: {"description": "The file.", "content": dict.fromkeys(_MEDIA_TYPES, _BYTES)},
        206: {"description": "The range of the file that was asked for."},
        **documented(400, 401, 404, 416),
    },
)
async def photo(key: UUID, serving: Serving) -> Response:
    """The file of a photo as it is."""
    return await serving.photos.run(_photo, serving.library, str(key))


def _thumbnail(serving: Service, key: str, size: Size, known: str | None) -> Response:
    entry = serving.library.entry(key)
    try:
        tag = etag(serving.library.version(entry), size)
        headers = {"ETag": tag, "Cache-Control": CACHE}
        if known is not None and tag in (one.strip() for one in known.split(",")):
            return Response(status_code=304, headers=headers)
        made = serving.thumbnails.get(key, tag, size, lambda: serving.library.content(entry))
        return Response(made, 200, headers, "image/jpeg")
    except (DataError, OSError) as error:
        raise _unreadable(entry) from error


def _photo(library: Library, key: str) -> Response:
    entry = library.entry(key)
    content = library.content(entry)
    media_type = library.media_type(entry, content)
    headers = {"Cache-Control": CACHE}
    if isinstance(content, bytes):
        return Response(content, 200, headers, media_type)
    return FileResponse(content, 200, headers, media_type, stat_result=content.stat())


def _unreadable(entry: Entry) -> HTTPException:
    return HTTPException(404, f"{entry.path}: the photo cannot be read any more")
