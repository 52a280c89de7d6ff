"""The verb `serve`: search an index on a web page and over HTTP."""

import os
import socket
import sys
import threading
import webbrowser
from contextlib import ExitStack, nullcontext
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.device import BUNDLE_NAMES, device_argument, use_device
from hgan.cli.index_report import print_not_indexed
from hgan.cli.model import SHIPPED, model_argument, named_model
from hgan.cli.verb import Verb
from hgan.errors import ConfigError
from hgan.locations import default_index
from hgan.runtime.memory import share_heaps

if TYPE_CHECKING:
    from hgan.runtime.bundle import Bundle

_NEEDED = ("fastapi", "prometheus_client", "python_multipart", "uvicorn")
SHUTDOWN = 30
"""Seconds that running requests have to finish when the service is stopped."""


def _serve_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "source",
        nargs="?",
        type=str,
        metavar="FOLDER_OR_INDEX",
        help="folder of photos, which is indexed first, or an index; by default your own index",
    )
    parser.add_argument(
        "--index", type=str, help="where the index of the folder of photos is stored"
    )
    model_argument(parser, f"that of the index, or else {SHIPPED}")
    device_argument(parser, BUNDLE_NAMES)
    parser.add_argument(
        "--watch", action="store_true", help="keep the index up to date with the folder"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 accepts connections from other machines",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        metavar="NAME",
        help="host name by which browsers and clients reach the service, in addition to localhost "
        "and the address of --host; can be repeated",
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="port to listen on; 0 chooses a free one"
    )
    parser.add_argument(
        "--require-key", action="store_true", help="require an API key for searching, too"
    )
    parser.add_argument("--rate", type=float, help="limit of requests per second for each client")
    parser.add_argument(
        "--cors",
        action="append",
        metavar="ORIGIN",
        help="allow web pages of this origin to use the service; can be repeated",
    )
    parser.add_argument(
        "--root-path",
        metavar="PREFIX",
        help="path prefix that a reverse proxy removes, such as /photos",
    )
    parser.add_argument(
        "--proxy",
        action="append",
        metavar="ADDRESS",
        help="IP address or network of a reverse proxy whose X-Forwarded headers are used; can be "
        "repeated",
    )
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        help="format of the logs; by default text on a terminal, and JSON elsewhere",
    )
    parser.add_argument(
        "--no-browser",
        action="store_true",
        help="do not open the page in a browser (opened only from a terminal of this machine)",
    )


def _serve(_parser: ArgumentParser, chosen: Namespace) -> int:
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise ConfigError(f"`hgan serve` needs {missing[0]}; pip install 'hgan[serve]'")
    share_heaps()  # before there are threads
    import uvicorn

    from hgan.index.store.announcement import announced
    from hgan.index.store.open import is_address
    from hgan.serve.app import create_app
    from hgan.serve.connections import Connection
    from hgan.serve.logs import log_to_stderr
    from hgan.serve.settings import Settings
    from hgan.serve.watching import following

    use_device(chosen.device)
    prefix = chosen.root_path or ""
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise ConfigError(f"--root-path must look like /photos, not like {prefix!r}")
    settings = Settings.of_environment(
        require_key=chosen.require_key,
        rate=chosen.rate,
        cors=tuple(chosen.cors or ()),
        hosts=(chosen.host, *(chosen.allow_host or ())),
    )
    proxies = _addresses(chosen.proxy or [])
    with _listen(chosen.host, chosen.port) as listening, ExitStack() as running:
        bundle = named_model(chosen.model)
        target = _ready_index(chosen, bundle)
        app = create_app(target, settings, bundle)
        service = app.state.service
        host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
        url = f"http://{host}:{listening.getsockname()[1]}"
        if not is_address(target):
            reached = _reached(chosen.host, listening.getsockname()[1])
            running.enter_context(announced(Path(target), reached))
        print(f"{len(service.library.index):,} photos at {url}", flush=True)
        log_to_stderr(chosen.log_format)
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            root_path=prefix,
            server_header=False,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=proxies,
            timeout_graceful_shutdown=SHUTDOWN,
            ws="none",
            http=Connection,
        )
        if not chosen.no_browser and _has_browser(chosen.host):
            # Starting a browser can take long. The port is bound, so the browser's request waits.
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        try:
            with following(service) if chosen.watch else nullcontext():
                uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:  # the usual end; running requests have been answered
            pass
        finally:
            service.close()
    return 0


def _addresses(proxies: list[str]) -> list[str]:
    """The addresses and networks of the proxies.

    Raises:
        ConfigError: one is not an address.
    """
    for proxy in proxies:
        try:
            ip_network(proxy)
        except ValueError as error:
            raise ConfigError(
                f"--proxy must be an IP address or a network such as 10.0.0.0/24 ({error})"
            ) from error
    return proxies


def _reached(host: str, port: int) -> str:
    """The address of the service for programs on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _has_browser(host: str) -> bool:
    """Whether the page can be opened in a browser of the user who started the service."""
    if host not in ("127.0.0.1", "localhost", "::1") or not sys.stdout.isatty():
        return False
    if sys.platform in ("win32", "darwin"):
        return True
    # Without a display, a text browser would take over the terminal.
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _ready_index(chosen: Namespace, bundle: "Bundle | None") -> Path | str:
    """The index to serve; it is updated first, with a bundle if one is named, if a folder of photos
    is given."""
    source = chosen.source
    is_remote = source is not None and source.startswith(("http://", "https://"))
    is_index = is_remote or (source is not None and (Path(source) / "index.json").is_file())
    if source is None:
        return chosen.index or default_index()
    if is_index:
        if chosen.index is not None:
            raise ConfigError(f"{source} is an index; omit --index, or pass a folder of photos")
        return str(source)
    from hgan.index.indexer import index_folder

    to = chosen.index or default_index()
    print_not_indexed(index_folder(source, to, bundle))
    return to


def _listen(host: str, port: int) -> socket.socket:
    """Bind the port before a folder is indexed, so that a port in use is reported at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{host}:{port}: cannot listen there ({reason})") from error


SERVE = Verb(
    summary="Search photos in the browser, and over HTTP.",
    details=(
        "Serves a search page, and an HTTP API under /v1 (described in /openapi.json), until it\n"
        "is interrupted. A folder of photos is indexed first. Logs go to standard error: on a\n"
        "terminal what has changed or failed, elsewhere one JSON object per line.\n\n"
        "$HGAN_API_KEYS contains API keys, separated by commas. Requests with one of them in\n"
        "the header X-API-Key can add photos, and remove them from the index."
    ),
    examples=(
        "hgan serve",
        "hgan serve ~/Pictures --port 8080",
        "hgan serve ~/Pictures --watch",
        "hgan serve ~/Pictures --index holidays.index --no-browser",
        "hgan serve ~/Pictures --index clip.index --model openai/clip-vit-base-patch32",
        "hgan serve http://localhost:6333/pictures --host 0.0.0.0 --require-key --rate 10",
        "hgan serve ~/Pictures --allow-host photos.example.org --proxy 127.0.0.1",
    ),
    arguments=_serve_arguments,
    run=_serve,
)
