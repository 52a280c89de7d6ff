"""The generations of an index on a server: collections, and an alias for the one in use.

    photos        the collection of an index that was never rebuilt; afterwards, an alias
    photos.g1     the collection of generation 1

The manifest in the metadata of `photos.gN` has the generation 0 while the collection is filled, and
N once it is whole. The alias is then moved to it in one request.

A server does not allow an alias and a collection of the same name. So the first time, the old
collection is deleted first, and then the alias is created. Between the two, and already from the
moment when `photos.g1` is whole, hgan uses `photos.g1` if there is no alias: for hgan, the write of
the generation is the switch. Other programs do not find `photos` for some milliseconds.

A store uses the collection that was in use when it was opened, and not the alias: a query and the
vectors that it is compared with must be of the same model. The name of a collection that was never
rebuilt can become an alias, so its stores look for that: before each change, and at most once a
second before a search.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from qdrant_client import models
from qdrant_client.http.exceptions import UnexpectedResponse

from hgan.errors import IndexingError
from hgan.index.store.contract import ReplacedError
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.server import Answer, Server

MANIFEST_KEY = "hgan"
"""Key of the manifest in the collection's metadata, which may have other keys."""


def collection_of(name: str, generation: int) -> str:
    """The collection of a generation; that of generation 0 has the name of the index."""
    return f"{name}.g{generation}" if generation else name


def find_collection(server: Server) -> None:
    """Let a connection use the collection that is in use for the index in its settings."""
    name, first = server.settings.collection, collection_of(server.settings.collection, 1)
    # A key that is valid for this collection alone may not ask for others.
    found = _unless_denied(lambda: alias_of(server))
    if found is None and _unless_denied(lambda: _generation(server, first)) == 1:
        found = first
    server.collection = found or name


def alias_of(server: Server) -> str | None:
    """The collection to which the name of the index is an alias; None if it is none."""
    aliases = server.ask(lambda client: client.get_aliases()).aliases
    name = server.settings.collection
    return next((one.collection_name for one in aliases if one.alias_name == name), None)


def check_no_alias(server: Server) -> None:
    """Raise `ReplacedError` if the collection that a connection uses is an alias by now."""
    if server.collection != server.settings.collection:
        return  # the collection of a later generation, whose name never becomes an alias
    if _unless_denied(lambda: alias_of(server)) is not None:
        raise ReplacedError(server.settings)


def has_collection(server: Server, name: str) -> bool:
    """Whether there is such a collection."""
    return server.ask(lambda client: client.collection_exists(name))


def delete_collection(server: Server, name: str) -> None:
    """Delete a collection."""
    server.ask(lambda client: client.delete_collection(name))


def metadata_of(server: Server, name: str) -> dict[str, Any]:
    """The metadata of a collection."""
    return server.ask(lambda client: client.get_collection(name)).config.metadata or {}


def set_metadata(server: Server, name: str, values: dict[str, Any]) -> None:
    """Write metadata of a collection; other keys are kept."""
    server.ask(lambda client: client.update_collection(name, metadata=values))


def use_collection(
    server: Server, manifest: IndexManifest, generation: int, secret: dict[str, Any]
) -> None:
    """Take a generation into use.

    Args:
        server: a connection to the index.
        manifest: the manifest of the new generation.
        generation: its number.
        secret: the metadata with the secret of the index, so that public ids stay valid.
    """
    name = collection_of(server.settings.collection, generation)
    whole = replace(manifest, generation=generation).as_dict()
    set_metadata(server, name, {MANIFEST_KEY: whole, **secret})
    if alias_of(server) is not None:
        set_alias(server, name)


def set_alias(server: Server, name: str) -> None:
    """Let the name of the index be an alias of a collection; one request replaces the old one."""
    alias = server.settings.collection
    removal = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
    creation = models.CreateAliasOperation(
        create_alias=models.CreateAlias(collection_name=name, alias_name=alias)
    )
    operations: list[models.AliasOperations] = [creation]
    if alias_of(server) is not None:
        operations.insert(0, removal)
    server.ask(lambda client: client.update_collection_aliases(operations))


def old_collections(server: Server, current: int) -> list[str]:
    """The collections of generations before the one in use."""
    names = [collection_of(server.settings.collection, number) for number in range(1, current)]
    if alias_of(server) is None:  # otherwise, the name of the index is not a collection
        names.insert(0, server.settings.collection)
    return [name for name in names if has_collection(server, name)]


def _unless_denied(ask: Callable[[], Answer | None]) -> Answer | None:
    try:
        return ask()
    except IndexingError as error:
        if isinstance(error.__cause__, UnexpectedResponse) and error.__cause__.status_code == 403:
            return None
        raise


def _generation(server: Server, name: str) -> int | None:
    """The number of the generation of a collection that is whole; None if it is not, or is not of
    an index."""
    if not has_collection(server, name):
        return None
    values = metadata_of(server, name).get(MANIFEST_KEY)
    return values.get("generation", 0) if isinstance(values, dict) else None
