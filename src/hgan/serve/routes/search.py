"""Routes that search and explain."""

from typing import Annotated

from fastapi import APIRouter, Form
from PIL import Image
from starlette.exceptions import HTTPException

from hgan.errors import DataError
from hgan.runtime.images import open_photo
from hgan.search.query import Query
from hgan.serve.keys import Searcher, SearcherRoute
from hgan.serve.library import Library
from hgan.serve.problems import documented
from hgan.serve.schemas import (
    BatchSearch,
    Explained,
    ExplainRequest,
    Found,
    FoundBatch,
    FoundPhoto,
    Page,
    PhotoSearch,
    TextSearch,
    Words,
)
from hgan.serve.service import Serving

router = APIRouter(
    prefix="/v1", tags=["search"], dependencies=[Searcher], route_class=SearcherRoute
)


@router.post("/search", responses=documented(400, 401, 404, 413))
async def search(body: TextSearch, serving: Serving) -> Found:
    """Photos that fit words best, best first."""
    return await serving.texts.run(_search, serving.library, body)


@router.post("/search/batch", responses=documented(400, 401, 404, 413))
async def search_batch(body: BatchSearch, serving: Serving) -> FoundBatch:
    """Photos for each of several queries, in the order of the queries; faster than one by one."""
    return await serving.texts.run(_search_batch, serving.library, body)


@router.post("/search/photo", responses=documented(400, 401, 413, 415))
async def search_photo(
    form: Annotated[PhotoSearch, Form(media_type="multipart/form-data")], serving: Serving
) -> Found:
    """Photos most like one that is sent along, and that fit words, if there are any."""
    return await serving.photos.run(_search_photo, serving.library, form)


@router.post("/explain", responses=documented(400, 401, 404, 413))
async def explanation(body: ExplainRequest, serving: Serving) -> Explained:
    """Why a photo of the index has its score: levels, words and regions."""
    return await serving.photos.run(_explain, serving.library, str(body.id), body.text)


def _search(library: Library, body: TextSearch) -> Found:
    [found] = _found(library, body, [_query(library, body)])
    return found


def _search_batch(library: Library, body: BatchSearch) -> FoundBatch:
    queries = [_query(library, one) for one in body.queries]
    return FoundBatch(results=_found(library, body, queries))


def _search_photo(library: Library, form: PhotoSearch) -> Found:
    # Read here, where few do so at once: the form keeps a large photo on disk.
    photo = _decode(form.photo.file.read(), library.index.bundle.config.size)
    query = Query(form.text, photo, without=tuple(form.without), photo_share=form.share)
    [found] = _found(library, form, [query])
    return found


def _query(library: Library, asked: Words) -> Query:
    query = asked.query()
    if query.like is not None:
        library.entry(query.like)
    return query


def _found(library: Library, page: Page, queries: list[Query]) -> list[Found]:
    return [
        Found(hits=[FoundPhoto.of(hit, library.index.root) for hit in hits])
        for hits in page.find_many(library.index, queries)
    ]


def _decode(data: bytes, size: int) -> Image.Image:
    try:
        return open_photo(data, hint=size)
    except DataError as error:
        raise HTTPException(415, str(error)) from error


def _explain(library: Library, key: str, text: str) -> Explained:
    entry = library.entry(key)
    photo = library.content(entry)
    library.media_type(entry, photo)
    return Explained.model_validate(library.index.bundle.explain(photo, text).as_dict())
