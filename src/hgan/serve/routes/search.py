"""Routes that search and explain."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from PIL import Image
from starlette.exceptions import HTTPException

from hgan.answers import (
    BatchSearchResult,
    ExplanationResult,
    Item,
    SearchHit,
    SearchResult,
    SuggestedText,
    SuggestResult,
    Understood,
)
from hgan.errors import DataError
from hgan.index.conditions.filter import Filter
from hgan.runtime.images import media_type, open_photo, read_photo
from hgan.search.finder import Hit
from hgan.search.language.types import Parsed
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
    SuggestRequest,
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


@router.post("/suggest", responses=problem_responses(400, 401, 413))
async def suggest(body: SuggestRequest, service: ServiceDependency) -> SuggestResult:
    """Names of fields, and values that photos have, for a line that a person is typing."""
    return await service.texts.run(_suggest, service.library, body)


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
    parsed = body.parsed()
    like = None if body.like is None else library.entry(body.like).id
    if parsed.browses and like is None and not body.without:
        return _listed(library, body, parsed)
    query = parsed.query(like=like, without=tuple(body.without), photo_share=body.share)
    return _understood(library, body, parsed, query)


def _search_batch(library: Library, body: BatchSearch) -> BatchSearchResult:
    queries = [_query(library, one) for one in body.queries]
    return BatchSearchResult(results=_results(library, body, queries))


def _search_photo(library: Library, form: PhotoSearch) -> SearchResult:
    # Read in the photo pool, where few do so at once: a large upload is kept on disk until then.
    photo = _decode(form.photo.file.read(), library.index.bundle.preprocessing.hint)
    parsed = form.parsed()
    query = parsed.query(photo, without=tuple(form.without), photo_share=form.share)
    return _understood(library, form, parsed, query)


def _understood(
    library: Library, asked: TextSearch | PhotoSearch, parsed: Parsed, query: Query
) -> SearchResult:
    """The result of one query, with what was understood of its line."""
    [result] = _results(library, asked, [query], parsed.where)
    if asked.q:
        result.parsed = Understood.of(parsed)
        if result.suggestion is not None:
            result.suggestion = _suggested(library, query, asked.q)
    return result


def _listed(library: Library, body: TextSearch, parsed: Parsed) -> SearchResult:
    """The photos that meet conditions alone, the newest first."""
    if body.threshold is not None or body.min_relevance is not None:
        raise DataError("conditions alone have no score; add words, or omit the minimum")
    where = Filter.parse(body.where) & parsed.where
    hits = library.index.newest(body.k, offset=body.offset, where=where, fold=body.fold)
    roots, public = library.index.roots, library.ids.public
    missing = library.index.unknown_values(where) if body.offset == 0 else []
    return SearchResult(
        hits=[SearchHit.of(hit, roots, public) for hit in hits],
        notices=[_sentence(message) for message in missing],
        suggestion=None,
        parsed=Understood.of(parsed),
    )


def _query(library: Library, body: TextQuery) -> Query:
    return body.query(None if body.like is None else library.entry(body.like).id)


def _suggested(library: Library, query: Query, line: str) -> str | None:
    """The whole line with misspelled words corrected."""
    return corrected(line, library.index.unknown_words(query))


def _results(
    library: Library, page: Page, queries: list[Query], where: Filter | None = None
) -> list[SearchResult]:
    where = Filter.parse(page.where) & (where or Filter())
    found = page.find_many(library.index, queries, where)
    first = page.offset == 0
    missing = library.index.unknown_values(where) if first else []
    return [_result(library, *pair, first, missing) for pair in zip(queries, found, strict=True)]


def _result(
    library: Library, query: Query, hits: list[Hit], is_first: bool, missing: list[str]
) -> SearchResult:
    unknown = library.index.unknown_words(query) if is_first else []
    roots, ids = library.index.roots, library.ids
    return SearchResult(
        hits=[SearchHit.of(hit, roots, ids.public) for hit in hits],
        notices=[*map(_sentence, missing), *map(str, unknown)],
        suggestion=corrected(query.text, unknown),
        parsed=None,
    )


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:]


def _suggest(library: Library, body: SuggestRequest) -> SuggestResult:
    found = library.index.suggest(body.q, body.at, body.limit)
    return SuggestResult(suggestions=[SuggestedText(**one._asdict()) for one in found])


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
