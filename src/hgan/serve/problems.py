"""What is answered where something is wrong: problem JSON (RFC 9457), and which status says what.

A message never tells where things lie on this machine; the log has the whole of it.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from hgan.errors import DataError, HganError
from hgan.serve.logs import LOG

MEDIA_TYPE = "application/problem+json"
COME_BACK = {"Retry-After": "5"}

_MEANINGS = {
    400: "The body cannot be read.",
    401: "A key is needed, in the header X-API-Key.",
    403: "No keys are configured, so nothing can be managed; or the folder cannot be written.",
    404: "There is no such photo.",
    409: "The place is taken.",
    413: "The body is too large.",
    415: "The file is no photo that can be read, whatever its name says.",
    416: "The photo is shorter than the range that was asked for.",
    422: "A value is out of bounds, or means nothing.",
    429: "Too many requests; Retry-After says when to come back.",
    503: "Busy, or the index does not answer; Retry-After says when to come back.",
    504: "It took too long.",
    507: "The disk is full.",
}
_ALWAYS = (422, 429, 503, 504)


class Problem(BaseModel):
    """What is wrong."""

    title: str
    """The status in words."""
    status: int
    detail: str
    """What is wrong with this request, and what to do."""


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problems that a route can answer with, beside those that every route can."""
    schema = Problem.model_json_schema()
    content = {MEDIA_TYPE: {"schema": schema}}
    return {
        status: {"description": _MEANINGS[status], "content": content}
        for status in sorted({*statuses, *_ALWAYS})
    }


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer that says it."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(body.model_dump(), status, dict(headers or {}), MEDIA_TYPE)


def handle_problems(app: FastAPI) -> None:
    """Let an app answer errors this way."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HganError, _failed)


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), error.headers)


def _invalid(_request: Request, error: Exception) -> Response:
    """Say what is wrong where; what was sent is not sent back, it may be anything."""
    assert isinstance(error, RequestValidationError)
    # The first part of the place, such as "body", helps nobody.
    found = [
        f"{'.'.join(str(part) for part in one['loc'][1:]) or one['loc'][0]}: {one['msg']}"
        for one in error.errors()
    ]
    return problem(422, _printable("; ".join(found)))


def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, DataError):
        return problem(422, _printable(request.app.state.service.library.public(str(error))))
    LOG.error("the index or the model failed: %s", error)
    return problem(503, "the index does not answer; try again later", COME_BACK)


def _printable(text: str) -> str:
    """Text that UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()
