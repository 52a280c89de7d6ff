"""Routes that change the folder and the index; they always need a key."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from hgan.serve.keys import Manager, ManagerRoute
from hgan.serve.library import Library
from hgan.serve.problems import documented
from hgan.serve.schemas import Item, PhotoToAdd
from hgan.serve.service import Serving

router = APIRouter(
    prefix="/v1/items", tags=["manage"], dependencies=[Manager], route_class=ManagerRoute
)


@router.post(
    "",
    status_code=201,
    responses={
        200: {"description": "It has taken the place of another photo.", "model": Item},
        **documented(400, 401, 403, 409, 413, 415, 507),
    },
)
async def add(
    form: Annotated[PhotoToAdd, Form(media_type="multipart/form-data")],
    serving: Serving,
    request: Request,
    response: Response,
) -> Item:
    """Store a photo in the folder, and take it into the index.

    Where anything goes wrong, both are left as they were.
    """
    item, replaced = await serving.photos.run(_add, serving.library, form)
    if replaced:
        response.status_code = 200
    response.headers["Location"] = f"{request.scope.get('root_path', '')}/v1/items/{item.id}"
    return item


@router.delete("/{key}", status_code=204, responses=documented(401, 403, 404))
async def remove(key: UUID, serving: Serving) -> None:
    """Take a photo out of the index; the file stays, and the next indexing finds it again."""
    await serving.texts.run(serving.library.remove, str(key))


def _add(library: Library, form: PhotoToAdd) -> tuple[Item, bool]:
    # Read here, where few do so at once: the form keeps a large photo on disk.
    data = form.photo.file.read()
    entry, replaced = library.adding.add(data, form.path, form.clean_tags(), form.replace)
    return Item.of(entry), replaced
