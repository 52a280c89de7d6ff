"""Access control by API keys: who may search, and who may change the index.

The checks are coroutines although they await nothing: FastAPI would run plain functions in a
thread, which takes longer than the check itself.
"""

import hmac
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hgan.serve.service import Service, ServiceDependency
from hgan.serve.settings import API_KEYS

HEADER = "X-API-Key"
_header = APIKeyHeader(name=HEADER, auto_error=False, description="One of $HGAN_API_KEYS.")
_ApiKey = Annotated[str | None, Security(_header)]


def _check(key: str | None, valid_keys: tuple[str, ...]) -> None:
    # All keys are compared in constant time, so that the response time reveals nothing about them.
    matches = [hmac.compare_digest((key or "").encode(), one.encode()) for one in valid_keys]
    if not any(matches):
        raise HTTPException(
            401,
            "a key is required in the header X-API-Key" if key is None else "the key is not valid",
            {"WWW-Authenticate": "ApiKey"},
        )


async def require_search_access(service: ServiceDependency, key: _ApiKey) -> None:
    """Allow searching without a key, unless the settings require one.

    Raises:
        HTTPException: 401, a key is missing or wrong.
    """
    if service.settings.require_key:
        _check(key, service.settings.keys)


async def require_manage_access(service: ServiceDependency, key: _ApiKey) -> None:
    """Allow changes with a valid key; without configured keys, changes are not possible.

    Raises:
        HTTPException: 401, a key is missing or wrong; 403, no keys are configured.
    """
    if not service.settings.keys:
        raise HTTPException(
            403, f"the index cannot be changed: the service was started without ${API_KEYS}"
        )
    _check(key, service.settings.keys)


SearchAccess = Depends(require_search_access)
ManageAccess = Depends(require_manage_access)


def _checked_first(
    check: Callable[[Service, str | None], Coroutine[Any, Any, None]],
) -> type[APIRoute]:
    """A route class that checks the key before it reads the body, which may be large."""

    class KeyFirstRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handler = super().get_route_handler()

            async def checked(request: Request) -> Response:
                await check(request.app.state.service, request.headers.get(HEADER))
                return await handler(request)

            return checked

    return KeyFirstRoute


SearchRoute = _checked_first(require_search_access)
ManageRoute = _checked_first(require_manage_access)
