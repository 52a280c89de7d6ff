"""An index on a server: a collection whose metadata says what it holds.

The metadata comes into being with the collection, in one step, so there is no index that does not
say what it is.
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
"""The key of the manifest, among what others may have written into the metadata."""


def read_manifest(address: str) -> IndexManifest:
    """What a collection says of itself.

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
    """Open a collection; others may use it at the same time."""
    server = Server(ServerSettings.parse(address))
    with QdrantStore(server, manifest.dense, manifest.local) as store:
        yield store


@contextmanager
def create_store(address: str, manifest: IndexManifest) -> Iterator[Store]:
    """Make a collection, or open the one that is there, to write to it.

    A server that goes away meanwhile is waited for, and the screen says so.

    Raises:
        IndexingError: the collection holds other things, or another index; or the server does not
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
            f"{settings}: this collection is no index of hgan; choose another name (a server older "
            "than Qdrant 1.16 keeps no metadata, and cannot hold an index)"
        )
    return IndexManifest.parse(values, settings)
