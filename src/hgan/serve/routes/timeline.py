"""The route that lists all photos in the order of time, in pages."""

import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi import Query as Parameter
from starlette.exceptions import HTTPException

from hgan.answers import TimelineItem, TimelineResult
from hgan.index.conditions.fields import EXAMPLES
from hgan.index.conditions.filter import Filter
from hgan.index.store.timeline import Place
from hgan.serve.keys import SearchAccess
from hgan.serve.library import Library
from hgan.serve.middleware.limits import charge
from hgan.serve.problems import problem_responses
from hgan.serve.public_ids import PublicIds
from hgan.serve.schemas import Condition
from hgan.serve.service import ServiceDependency

router = APIRouter(prefix="/v1/items", tags=["photos"], dependencies=[SearchAccess])

_UNKNOWN = "none"
"""The time in the cursor of a photo without one."""
_CURSOR = re.compile(
    r"(none|-?[0-9]{1,15})_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.ASCII
)


@router.get("", responses=problem_responses(400, 401))
async def timeline(
    service: ServiceDependency,
    request: Request,
    k: Annotated[int, Parameter(ge=1, le=200, description="Number of photos.")] = 50,
    where: Annotated[
        list[Condition],
        Parameter(max_length=32, description=f"Conditions of all photos, such as {EXAMPLES}."),
    ] = [],  # noqa: B006 - FastAPI copies it
    cursor: Annotated[
        str, Parameter(max_length=100, description="That of the page before; empty for the first.")
    ] = "",
    fold: Annotated[
        bool,
        Parameter(
            description="Group near-duplicates of the same second, and the frames of a video, "
            "under the largest of them. Pages may then have fewer photos than `k`."
        ),
    ] = False,
) -> TimelineResult:
    """Photos in the order of time, the newest first; those without a time last.

    Each photo is on one page, also if others are added or removed meanwhile.
    """
    charge(request.scope, k)
    return await service.texts.run_for(k, _page, service.library, k, where, cursor, fold)


def _page(library: Library, k: int, where: list[str], cursor: str, fold: bool) -> TimelineResult:
    start = _place(cursor, library.ids) if cursor else None
    photos, after = library.timeline(k, Filter.parse(where), start, fold)
    public = library.ids.public
    items = [TimelineItem.of_shown(shown, public) for shown in photos]
    next_page = None if after is None else f"{_time(after.taken)}_{public(after.id)}"
    return TimelineResult(items=items, cursor=next_page)


def _time(taken: int | None) -> str:
    return _UNKNOWN if taken is None else str(taken)


def _place(cursor: str, ids: PublicIds) -> Place:
    """The place that a cursor names.

    Raises:
        HTTPException: 400, it is not a cursor of this service.
    """
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise HTTPException(400, "cursor: not one of this service; start at the first page again")
    taken, public = match.groups()
    stored = ids.stored(UUID(public))
    return Place(None if taken == _UNKNOWN else int(taken), stored)
