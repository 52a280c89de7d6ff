"""The search page: static files at `/` and `/web/`, which are read once.

All links in them are relative, so that the page works under any prefix. The page sends requests to
this service only; its Content-Security-Policy enforces that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.exceptions import HTTPException
from starlette.responses import Response

INDEX = "index.html"
# The system's table is not used: browsers do not accept its media type of `.js` on some systems.
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
WORKER = "worker.js"
"""The service worker, which may control the page one folder above it."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_CACHE = "no-cache"
"""Browsers revalidate each time and get a 304, so an upgrade takes effect at once."""
_CACHE_PICTURES = "max-age=86400"
"""Browsers ask for the icon again whenever the address changes, which it does with every key."""
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    # The address of the page contains the query, which is private.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class PageFile:
    """A file of the page with its headers."""

    content: bytes
    media_type: str
    etag: str


def page_files() -> Mapping[str, PageFile]:
    """The files of the page by name, read from the installed package."""
    found = {}
    for file in files("hgan.serve").joinpath("web").iterdir():
        media_type = _MEDIA_TYPES.get(PurePosixPath(file.name).suffix)
        if media_type is not None:
            content = file.read_bytes()
            etag = f'"{sha256(content).hexdigest()[:32]}"'
            found[file.name] = PageFile(content, media_type, etag)
    return found


def page_router() -> APIRouter:
    """The routes of the page, which are not in the OpenAPI description."""
    router = APIRouter(include_in_schema=False)
    found = page_files()

    def answer(name: str, known: str | None) -> Response:
        if name not in found:
            raise HTTPException(404, "the page has no such file")
        file = found[name]
        is_picture = file.media_type.startswith("image/")
        cache = _CACHE_PICTURES if is_picture else _CACHE
        headers = {**_HEADERS, "Cache-Control": cache, "ETag": file.etag}
        if name == WORKER:
            headers["Service-Worker-Allowed"] = "../"
        if known is not None and file.etag in (_strong(one) for one in known.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(file.content, 200, headers, file.media_type)

    @router.api_route("/", methods=["GET", "HEAD"])
    async def page(if_none_match: Annotated[str | None, Header()] = None) -> Response:
        return answer(INDEX, if_none_match)

    @router.api_route("/web/{name}", methods=["GET", "HEAD"])
    async def file(name: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        return answer(name, if_none_match)

    return router


def _strong(etag: str) -> str:
    """The ETag as it was sent; proxies that compress responses turn it into a weak ETag."""
    return etag.strip().removeprefix("W/")
