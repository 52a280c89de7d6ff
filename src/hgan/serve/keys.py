"""Who may do what, by the keys of the settings.

The checks are coroutines although they never wait: FastAPI would call plain functions in threads, a
detour that takes longer than the check.
"""

import hmac
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hgan.serve.service import Service, Serving
from hgan.serve.settings import API_KEYS

HEADER = "X-API-Key"
_header = APIKeyHeader(name=HEADER, auto_error=False, description="One of $HGAN_API_KEYS.")
_Given = Annotated[str | None, Security(_header)]


def _check(given: str | None, keys: tuple[str, ...]) -> None:
    # Every key is compared, and each in the same time: neither tells how near a guess was.
    matches = [hmac.compare_digest((given or "").encode(), key.encode()) for key in keys]
    if not any(matches):
        raise HTTPException(
            401,
            "a key is needed in the header X-API-Key" if given is None else "the key is not valid",
            {"WWW-Authenticate": "ApiKey"},
        )


async def may_search(serving: Serving, given: _Given) -> None:
    """Anyone, unless a key is required.

    Raises:
        HTTPException: 401, a key is missing or wrong.
    """
    if serving.settings.require_key:
        _check(given, serving.settings.keys)


async def may_manage(serving: Serving, given: _Given) -> None:
    """Who has a key; nobody where there is none.

    Raises:
        HTTPException: 401, a key is missing or wrong; 403, no keys are configured.
    """
    if not serving.settings.keys:
        raise HTTPException(403, f"nothing can be managed: the service has no ${API_KEYS}")
    _check(given, serving.settings.keys)


Searcher = Depends(may_search)
Manager = Depends(may_manage)


def _early(check: Callable[[Service, str | None], Coroutine[Any, Any, None]]) -> type[APIRoute]:
    """Routes that look at the key before they read the body, which may be large."""

    class Early(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handler = super().get_route_handler()

            async def checked(request: Request) -> Response:
                await check(request.app.state.service, request.headers.get(HEADER))
                return await handler(request)

            return checked

    return Early


SearcherRoute = _early(may_search)
ManagerRoute = _early(may_manage)
