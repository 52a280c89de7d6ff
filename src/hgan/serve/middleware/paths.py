"""The path of a request as the routes see it, without the prefix of a proxy."""

from starlette.types import Scope


def route_path(scope: Scope) -> str:
    """The path without `--root-path`, which the server puts in front of every path."""
    path: str = scope["path"]
    prefix: str = scope.get("root_path", "")
    return path.removeprefix(prefix) if prefix and path.startswith(f"{prefix}/") else path
