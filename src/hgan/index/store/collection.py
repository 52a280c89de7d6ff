"""An index on a server: a collection with the metadata of the index.

The metadata is created together with the collection, in one request, so no index is without it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from hgan.errors import IndexingError
from hgan.index.store.contract import Store
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.qdrant import QdrantStore, create_collection, index_payload
from hgan.index.store.server import Server, ServerSettings
from hgan.progress import console

_OURS = "hgan"
"""The key of the manifest in the collection's metadata, which may have other keys."""


def read_manifest(address: str) -> IndexManifest:
    """Read the metadata of a collection.

    Raises:
        IndexingError: there is none, or the server does not answer.
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
    with QdrantStore(server, manifest.dense, manifest.local) as store:
        yield store


@contextmanager
def create_store(address: str, manifest: IndexManifest) -> Iterator[Store]:
    """Create a collection, or open an existing one, to write to it.

    If the server stops answering meanwhile, it is waited for, and the screen says so.

    Raises:
        IndexingError: the collection holds other data, or another index; or the server does not
            answer.
    """
    server = Server(ServerSettings.parse(address), waiting=console.print)
    with QdrantStore(server, manifest.dense, manifest.local) as store:
        metadata = {_OURS: asdict(manifest)}
        create_collection(server, manifest.dense, manifest.local, manifest.quantize, metadata)
        _manifest(server).check_same(server.settings, manifest)
        index_payload(server)
        yield store


def _manifest(server: Server) -> IndexManifest:
    settings = server.settings
    config = server.ask(lambda client: client.get_collection(settings.collection)).config
    values = (config.metadata or {}).get(_OURS)
    if values is None:
        raise IndexingError(
            f"{settings}: this collection is not an index of hgan; choose another name (a server "
            "older than Qdrant 1.16 keeps no metadata, and cannot hold an index)"
        )
    return IndexManifest.parse(values, settings)
