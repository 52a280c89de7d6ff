"""Error responses: problem JSON (RFC 9457), and the meaning of each status.

A response never contains paths of this machine; the log has the full message.
"""

import errno
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from hgan.errors import DataError, HganError, IndexingError
from hgan.index.store.contract import ReadOnlyError
from hgan.serve.logs import LOG

MEDIA_TYPE = "application/problem+json"
RETRY_LATER = {"Retry-After": "5"}

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SAYS_DISK_FULL = (
    "the disk is full",  # the store's own check
    "No space left on device",
    "Disk quota exceeded",
    "(os error 28)",
)
"""Parts of the messages of stores; engines do not pass the system's error number on."""

_MEANINGS = {
    400: "The body cannot be read.",
    401: "A valid key is required in the header X-API-Key.",
    403: "A page of another site; or no keys are configured, so the index cannot be changed; or "
    "the folder or the index is read-only.",
    404: "There is no such photo.",
    409: "A file with this name already exists.",
    413: "The body is too large.",
    415: "The content of the file is not a photo that can be read.",
    416: "The requested range is beyond the end of the file.",
    421: "The host name is not one of this service.",
    422: "A value is out of bounds or not valid.",
    429: "Too many requests; Retry-After says when to try again.",
    503: "Too busy, or the index does not respond; Retry-After says when to try again.",
    504: "The request took too long.",
    507: "The disk is full.",
}
_ALWAYS = (403, 421, 422, 429, 503, 504)


class Problem(BaseModel):
    """An error, as in RFC 9457."""

    title: str
    """The name of the status."""
    status: int
    detail: str
    """What is wrong with this request, and what to do."""


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route for OpenAPI, including those that all routes have."""
    schema = Problem.model_json_schema()
    content = {MEDIA_TYPE: {"schema": schema}}
    return {
        status: {"description": _MEANINGS[status], "content": content}
        for status in sorted({*statuses, *_ALWAYS})
    }


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A response in problem JSON."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(body.model_dump(), status, dict(headers or {}), MEDIA_TYPE)


def handle_problems(app: FastAPI) -> None:
    """Make an app respond to errors with problem JSON."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HganError, _failed)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one of its causes, is a full disk."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _DISK_FULL:
            return True
        if isinstance(cause, IndexingError) and any(text in str(cause) for text in _SAYS_DISK_FULL):
            return True
        cause = cause.__cause__
    return False


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # A large upload is kept on disk while it is received; FastAPI calls every error of this 400.
    if error.status_code == 400 and is_disk_full(error):
        LOG.error("an upload cannot be received: %s", error.__cause__)
        return problem(507, "the disk is full; nothing was stored")
    return problem(error.status_code, str(error.detail), error.headers)


def _invalid(_request: Request, error: Exception) -> Response:
    """Say which value is wrong and why; the value itself is not sent back."""
    assert isinstance(error, RequestValidationError)
    # The first part of the location, such as "body", is left out: it does not help.
    found = [
        f"{'.'.join(str(part) for part in one['loc'][1:]) or one['loc'][0]}: {one['msg']}"
        for one in error.errors()
    ]
    return problem(422, _printable("; ".join(found)))


def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, DataError):
        return problem(422, _printable(request.app.state.service.library.public(str(error))))
    LOG.error("the index or the model failed: %s", error)
    if is_disk_full(error):
        return problem(507, "the disk is full; nothing was changed")
    if isinstance(error, ReadOnlyError):
        return problem(403, "the index is read-only; it can only be searched")
    return problem(503, "the index does not respond; try again later", RETRY_LATER)


def _printable(text: str) -> str:
    """The text without surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()
