"""Who may do what, by the keys of the settings."""

import hmac
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException

from hgan.serve.service import Serving
from hgan.serve.settings import API_KEYS

_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="One of $HGAN_API_KEYS.")
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


def may_search(serving: Serving, given: _Given) -> None:
    """Anyone, unless a key is required.

    Raises:
        HTTPException: 401, a key is missing or wrong.
    """
    if serving.settings.require_key:
        _check(given, serving.settings.keys)


def may_manage(serving: Serving, given: _Given) -> None:
    """Who has a key; nobody where there is none.

    Raises:
        HTTPException: 401, a key is missing or wrong; 403, no keys are configured.
    """
    if not serving.settings.keys:
        raise HTTPException(403, f"nothing can be managed: the service has no ${API_KEYS}")
    _check(given, serving.settings.keys)


Searcher = Depends(may_search)
Manager = Depends(may_manage)
