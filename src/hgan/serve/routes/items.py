"""Routes that change the folder and the index; they always require a key."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from hgan.answers import Item
from hgan.serve.keys import ManageAccess, ManageRoute
from hgan.serve.library import Library
from hgan.serve.problems import problem_responses
from hgan.serve.schemas import PhotoToAdd
from hgan.serve.service import Service, ServiceDependency

router = APIRouter(
    prefix="/v1/items", tags=["manage"], dependencies=[ManageAccess], route_class=ManageRoute
)


@router.post(
    "",
    status_code=201,
    responses={
        200: {"description": "The photo has replaced another one.", "model": Item},
        **problem_responses(400, 401, 403, 409, 413, 415, 507),
    },
)
async def add(
    form: Annotated[PhotoToAdd, Form(media_type="multipart/form-data")],
    service: ServiceDependency,
    request: Request,
    response: Response,
) -> Item:
    """Store a photo in the folder and add it to the index.

    If anything fails, neither of them is changed.
    """
    item, replaced = await service.photos.run(_add, service, form)
    if replaced:
        response.status_code = 200
    response.headers["Location"] = f"{request.scope.get('root_path', '')}/v1/items/{item.id}"
    return item


@router.delete("/{key}", status_code=204, responses=problem_responses(401, 403, 404, 507))
async def remove(key: UUID, service: ServiceDependency) -> None:
    """Remove a photo from the index, but keep its file. The next indexing adds it again.

    The id of a frame removes all frames of its video.
    """
    await service.texts.run(service.change, lambda library: library.remove(key))


def _add(service: Service, form: PhotoToAdd) -> tuple[Item, bool]:
    # Read in the photo pool, where few do so at once: a large upload is kept on disk until then.
    data = form.photo.file.read()
    return service.change(lambda library: _add_to(library, form, data))


def _add_to(library: Library, form: PhotoToAdd, data: bytes) -> tuple[Item, bool]:
    entry, replaced = library.adding.add(data, form.path, form.clean_tags(), form.replace)
    return Item.of(entry, library.ids.public(entry.id)), replaced
