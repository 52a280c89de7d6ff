"""Routes that search and explain."""

from typing import Annotated

from fastapi import APIRouter, Form
from PIL import Image
from starlette.exceptions import HTTPException

from hgan.errors import DataError
from hgan.runtime.images import open_photo
from hgan.search.explain import explain
from hgan.search.query import Query
from hgan.serve.keys import Searcher
from hgan.serve.library import Library
from hgan.serve.problems import documented
from hgan.serve.schemas import (
    Explained,
    ExplainRequest,
    Found,
    FoundPhoto,
    PhotoSearch,
    TextSearch,
)
from hgan.serve.service import Serving

router = APIRouter(prefix="/v1", tags=["search"], dependencies=[Searcher])


@router.post("/search", responses=documented(400, 401, 404, 413))
async def search(body: TextSearch, serving: Serving) -> Found:
    """Photos that fit words best, best first."""
    return await serving.texts.run(_search, serving.library, body)


@router.post("/search/photo", responses=documented(400, 401, 413, 415))
async def search_photo(
    form: Annotated[PhotoSearch, Form(media_type="multipart/form-data")], serving: Serving
) -> Found:
    """Photos most like one that is sent along, and that fit words, if there are any."""
    photo = await form.photo.read()
    return await serving.photos.run(_search_photo, serving.library, form, photo)


@router.post("/explain", responses=documented(400, 401, 404, 413))
async def explanation(body: ExplainRequest, serving: Serving) -> Explained:
    """Why a photo of the index has its score: levels, words and regions."""
    return await serving.photos.run(_explain, serving.library, str(body.id), body.text)


def _search(library: Library, body: TextSearch) -> Found:
    query = body.query()
    if query.like is not None:
        library.entry(query.like)
    return _found(library, body, query)


def _search_photo(library: Library, form: PhotoSearch, data: bytes) -> Found:
    photo = _decode(data, library.index.bundle.config.size)
    query = Query(form.text, photo, without=tuple(form.without), photo_share=form.share)
    return _found(library, form, query)


def _found(library: Library, page: TextSearch | PhotoSearch, query: Query) -> Found:
    hits = page.find(library.index, query)
    return Found(hits=[FoundPhoto.of(hit, library.index.root) for hit in hits])


def _decode(data: bytes, size: int) -> Image.Image:
    try:
        return open_photo(data, hint=size)
    except DataError as error:
        raise HTTPException(415, str(error)) from error


def _explain(library: Library, key: str, text: str) -> Explained:
    entry = library.entry(key)
    photo = library.content(entry)
    library.media_type(entry, photo)
    return Explained.model_validate(explain(library.index.bundle, photo, text).as_dict())
