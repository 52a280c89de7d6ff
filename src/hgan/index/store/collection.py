"""An index on a Qdrant server: a collection that also stores the manifest.

One request creates the collection together with its manifest, so every index has a manifest.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

from hgan.errors import IndexingError
from hgan.index.store.contract import Store
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.qdrant import QdrantStore, create_collection, index_payload
from hgan.index.store.secret import new_secret, parse_secret
from hgan.index.store.server import Server, ServerSettings
from hgan.progress import console

_MANIFEST_KEY = "hgan"
"""Key of the manifest in the collection's metadata, which may have other keys."""
_SECRET_KEY = "hgan_secret"
"""Key of the secret in the collection's metadata; see `hgan.index.store.secret`."""


def read_manifest(address: str) -> IndexManifest:
    """Read the manifest of a collection.

    Raises:
        IndexingError: the collection is not an index, or the server does not answer.
    """
    server = Server(ServerSettings.parse(address))
    try:
        return _manifest(server)
    finally:
        server.close()


@contextmanager
def open_store(address: str, manifest: IndexManifest) -> Iterator[Store]:
    """Open a collection; other processes may use it at the same time."""
    server = Server(ServerSettings.parse(address))
    with QdrantStore(server, manifest.dense, manifest.local, manifest.quantize) as store:
        yield store


@contextmanager
def create_store(address: str, manifest: IndexManifest) -> Iterator[Store]:
    """Create a collection, or open an existing one, for writing.

    If the server stops answering, this waits for it and prints a message.

    Raises:
        IndexingError: the collection contains other data or another index, or the server does not
            answer.
    """
    server = Server(ServerSettings.parse(address), waiting=console.print)
    with QdrantStore(server, manifest.dense, manifest.local, manifest.quantize) as store:
        metadata = {_MANIFEST_KEY: asdict(manifest), _SECRET_KEY: new_secret()}
        create_collection(server, manifest.dense, manifest.local, manifest.quantize, metadata)
        found = _manifest(server)
        found.check_same(server.settings, manifest)
        if manifest.exclude not in (None, found.exclude):
            _write_manifest(server, replace(found, exclude=manifest.exclude))
        index_payload(server)
        yield store


def write_bundle_path(address: str, place: str | None) -> None:
    """Write into the manifest of a collection where its bundle is now; see `IndexManifest`.

    Raises:
        IndexingError: the collection is not an index, or the server does not answer.
    """
    server = Server(ServerSettings.parse(address))
    try:
        _write_manifest(server, replace(_manifest(server), bundle_path=place))
    finally:
        server.close()


def secret_of(address: str) -> bytes:
    """The secret of a collection; it is created if a collection of an older version has none.

    Raises:
        IndexingError: the secret is damaged, or the server does not answer.
    """
    server = Server(ServerSettings.parse(address))
    try:
        if _secret(server) is None:
            name, metadata = server.settings.collection, {_SECRET_KEY: new_secret()}
            server.ask(lambda client: client.update_collection(name, metadata=metadata))
        # Read again: another service may have created one at the same time.
        return parse_secret(str(_secret(server)), f"{server.settings}: {_SECRET_KEY}")
    finally:
        server.close()


def _secret(server: Server) -> object:
    name = server.settings.collection
    config = server.ask(lambda client: client.get_collection(name)).config
    return (config.metadata or {}).get(_SECRET_KEY)


def _write_manifest(server: Server, manifest: IndexManifest) -> None:
    name, metadata = server.settings.collection, {_MANIFEST_KEY: asdict(manifest)}
    server.ask(lambda client: client.update_collection(name, metadata=metadata))


def _manifest(server: Server) -> IndexManifest:
    settings = server.settings
    config = server.ask(lambda client: client.get_collection(settings.collection)).config
    values = (config.metadata or {}).get(_MANIFEST_KEY)
    if values is None:
        raise IndexingError(
            f"{settings}: this collection is not an index of hgan; choose another name (servers "
            "older than Qdrant 1.16 do not store metadata and cannot be used)"
        )
    return IndexManifest.parse(values, settings)
