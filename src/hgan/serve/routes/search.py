"""Routes that search and explain."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from PIL import Image
from starlette.exceptions import HTTPException

from hgan.answers import BatchSearchResult, ExplanationResult, Item, SearchHit, SearchResult
from hgan.errors import DataError
from hgan.runtime.images import media_type, open_photo, read_photo
from hgan.search.finder import Hit
from hgan.search.query import Query
from hgan.search.words import corrected
from hgan.serve.keys import SearchAccess, SearchRoute
from hgan.serve.library import Library
from hgan.serve.middleware.limits import charge
from hgan.serve.problems import problem_responses
from hgan.serve.schemas import (
    BatchSearch,
    ExplainRequest,
    LookupRequest,
    Page,
    PhotoSearch,
    TextQuery,
    TextSearch,
)
from hgan.serve.service import ServiceDependency

router = APIRouter(
    prefix="/v1", tags=["search"], dependencies=[SearchAccess], route_class=SearchRoute
)


@router.post("/search", responses=problem_responses(400, 401, 404, 413))
async def search(body: TextSearch, service: ServiceDependency, request: Request) -> SearchResult:
    """The photos that match a text best, best first."""
    charge(request.scope, body.offset + body.k)
    return await service.texts.run_for(body.cost(), _search, service.library, body)


@router.post("/search/batch", responses=problem_responses(400, 401, 404, 413))
async def search_batch(
    body: BatchSearch, service: ServiceDependency, request: Request
) -> BatchSearchResult:
    """The results of several queries, in their order; faster than one request for each."""
    queries = len(body.queries)
    charge(request.scope, queries * (body.offset + body.k))
    return await service.texts.run_for(body.cost(queries), _search_batch, service.library, body)


@router.post("/search/photo", responses=problem_responses(400, 401, 413, 415, 507))
async def search_photo(
    form: Annotated[PhotoSearch, Form(media_type="multipart/form-data")],
    service: ServiceDependency,
    request: Request,
) -> SearchResult:
    """The photos most similar to an uploaded one, and to a text if there is one."""
    charge(request.scope, form.offset + form.k)
    return await service.photos.run_for(form.cost(), _search_photo, service.library, form)


@router.post("/lookup", responses=problem_responses(400, 401, 404, 413))
async def lookup(body: LookupRequest, service: ServiceDependency) -> Item:
    """The stored metadata of the photo with this path; its id cannot be derived from the path."""
    entry = await service.texts.run(service.library.entry_of_path, body.path)
    return Item.of(entry, service.library.ids.public(entry.id))


@router.post("/explain", responses=problem_responses(400, 401, 404, 413))
async def explanation(body: ExplainRequest, service: ServiceDependency) -> ExplanationResult:
    """Explain the score of a photo in the index by levels, words and regions."""
    return await service.photos.run(_explain, service.library, body.id, body.text)


def _search(library: Library, body: TextSearch) -> SearchResult:
    [result] = _results(library, body, [_query(library, body)])
    return result


def _search_batch(library: Library, body: BatchSearch) -> BatchSearchResult:
    queries = [_query(library, one) for one in body.queries]
    return BatchSearchResult(results=_results(library, body, queries))


def _search_photo(library: Library, form: PhotoSearch) -> SearchResult:
    # Read in the photo pool, where few do so at once: a large upload is kept on disk until then.
    photo = _decode(form.photo.file.read(), library.index.bundle.preprocessing.hint)
    query = Query(form.text, photo, without=tuple(form.without), photo_share=form.share)
    [result] = _results(library, form, [query])
    return result


def _query(library: Library, body: TextQuery) -> Query:
    return body.query(None if body.like is None else library.entry(body.like).id)


def _results(library: Library, page: Page, queries: list[Query]) -> list[SearchResult]:
    found = page.find_many(library.index, queries)
    first = page.offset == 0
    return [_result(library, *pair, first) for pair in zip(queries, found, strict=True)]


def _result(library: Library, query: Query, hits: list[Hit], is_first: bool) -> SearchResult:
    unknown = library.index.unknown_words(query) if is_first else []
    root, ids = library.index.root, library.ids
    return SearchResult(
        hits=[SearchHit.of(hit, root, ids.public) for hit in hits],
        notices=[str(word) for word in unknown],
        suggestion=corrected(query.text, unknown),
    )


def _decode(data: bytes, hint: int) -> Image.Image:
    try:
        return open_photo(data, hint=hint)
    except DataError as error:
        raise HTTPException(415, str(error)) from error


def _explain(library: Library, key: UUID, text: str) -> ExplanationResult:
    entry = library.entry(key)
    with library.original(entry) as original:
        data = original.read()
        media_type(data, entry.path)  # what is no photo any more is not found
    photo = read_photo(data, library.index.bundle.config.size, entry.path)
    return ExplanationResult.model_validate(library.index.bundle.explain(photo, text).as_dict())
