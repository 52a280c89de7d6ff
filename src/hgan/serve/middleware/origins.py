"""Protection from other web pages in the user's browser: the Host, the site and the origin.

A browser lets any web page send requests to 127.0.0.1 and to the local network. Three checks refuse
them, before any other work:

- `Host` must be a name of this service. A page whose own name is resolved to this machine's address
  (DNS rebinding) is same-origin for the browser, but has another name.
- `Sec-Fetch-Site`, which browsers set and pages cannot change, must be `same-origin` or `none`
  (typed by the user). Links from other sites may open the search page.
- `Origin`, where a browser sends no `Sec-Fetch-Site` (plain HTTP, except localhost), must be the
  host.

Programs other than browsers send neither of the last two headers. Pages of the origins in `--cors`
are allowed. The headers of every response keep other sites from embedding it, and the browser from
running anything in it.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hgan.serve.middleware.paths import route_path
from hgan.serve.problems import problem
from hgan.serve.settings import Settings

RESPONSE_HEADERS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    # A photo opened in a tab is shown with an inline style of the browser.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
    ),
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every response that does not set them itself; the search page has its own policy."""

LOCAL = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::(\d{1,5}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class Host(NamedTuple):
    """A host name or address in lower case, and the port as it is written; empty if there is
    none."""

    name: str
    port: str

    @classmethod
    def parse(cls, text: str) -> "Host | None":
        """Parse the value of a Host header; None if it is not valid."""
        found = _HOST.fullmatch(text.strip().lower())
        if found is None:
            return None
        address, name, port = found.groups("")
        return cls(address or name.removesuffix("."), port)


class AllowedHosts:
    """The host names and addresses by which a service is reached."""

    def __init__(self, names: Iterable[str]) -> None:
        """Allow this machine's own names, and `names`. An unspecified address, such as 0.0.0.0,
        allows every IP address: no name is resolved, so that they cannot be used for DNS
        rebinding."""
        self._names = frozenset((*LOCAL, *(name.lower().strip("[]") for name in names)))
        self._any_address = any(_is_unspecified(name) for name in self._names)

    def __contains__(self, host: Host) -> bool:
        return host.name in self._names or (self._any_address and _is_address(host.name))


class OriginsMiddleware:
    """Refuses requests to other hosts, and requests of other sites' pages."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Wrap an app."""
        self._app = app
        self._hosts = AllowedHosts(settings.hosts)
        self._origins = frozenset(settings.cors)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            return await refusal(scope, receive, send)
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        given = headers.getlist("host")
        host = Host.parse(given[0]) if len(given) == 1 else None
        if host is None or host not in self._hosts:
            return problem(
                421, "this service is not reached by this host name; allow it with --allow-host"
            )
        origin = headers.get("origin")
        if origin is not None and (origin in self._origins or "*" in self._origins):
            return None
        site = headers.get("sec-fetch-site")
        if site is None:
            trusted = origin is None or _is_same(origin, host)
        else:
            trusted = site in ("same-origin", "none") or _opens_page(scope, headers)
        if trusted:
            return None
        return problem(
            403, "web pages of other sites cannot use this service; allow an origin with --cors"
        )


def _opens_page(scope: Scope, headers: Headers) -> bool:
    """Whether the user follows a link to the search page."""
    return (
        scope["method"] in ("GET", "HEAD")
        and route_path(scope) == "/"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _is_same(origin: str, host: Host) -> bool:
    """Whether an origin is this host; the scheme may differ, as a proxy can add TLS."""
    parts = urlsplit(origin)
    found = Host.parse(parts.netloc)
    default = _DEFAULT_PORTS.get(parts.scheme)
    if found is None or default is None or found.name != host.name:
        return False
    return (found.port or default) == (host.port or default)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_unspecified(name: str) -> bool:
    return _is_address(name) and ip_address(name).is_unspecified
