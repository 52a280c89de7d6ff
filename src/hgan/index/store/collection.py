"""An index on a Qdrant server: a collection that also stores the manifest.

One request creates the collection together with its manifest, so every index has a manifest. An
index that was rebuilt has another collection, see `hgan.index.store.aliases`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from hgan.errors import IndexingError
from hgan.index.store.aliases import MANIFEST_KEY, find_collection, metadata_of, set_metadata
from hgan.index.store.contract import ReplacedError, Store
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.qdrant import QdrantStore, create_collection, index_payload
from hgan.index.store.secret import new_secret, parse_secret
from hgan.index.store.server import Server, ServerSettings
from hgan.progress import console

SECRET_KEY = "hgan_secret"
"""Key of the secret in the collection's metadata; see `hgan.index.store.secret`."""


def read_manifest(address: str) -> IndexManifest:
    """Read the manifest of a collection.

    Raises:
        IndexingError: the collection is not an index, or the server does not answer.
    """
    with connected(address) as server:
        return manifest_of(server)


@contextmanager
def open_store(address: str, manifest: IndexManifest) -> Iterator[Store]:
    """Open a collection; other processes may use it at the same time.

    Raises:
        ReplacedError: another generation is in use than that of the manifest.
    """
    with connected(address) as server:
        if manifest_of(server).generation != manifest.generation:
            raise ReplacedError(server.settings)
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
    with connected(address, waiting=console.print) as server:
        metadata = {MANIFEST_KEY: manifest.as_dict(), SECRET_KEY: new_secret()}
        create_collection(server, manifest.dense, manifest.local, manifest.quantize, metadata)
        found = manifest_of(server)
        found.check_same(server.settings, manifest)
        if (changed := found.updated(manifest)) != found:
            set_metadata(server, server.collection, {MANIFEST_KEY: changed.as_dict()})
        index_payload(server)
        with QdrantStore(server, manifest.dense, manifest.local, manifest.quantize) as store:
            yield store


def write_bundle_path(address: str, place: str | None) -> None:
    """Write into the manifest of a collection where its bundle is now; see `IndexManifest`.

    Raises:
        IndexingError: the collection is not an index, or the server does not answer.
    """
    with connected(address) as server:
        changed = replace(manifest_of(server), bundle_path=place)
        set_metadata(server, server.collection, {MANIFEST_KEY: changed.as_dict()})


def secret_of(address: str) -> bytes:
    """The secret of a collection; it is created if a collection of an older version has none.

    Raises:
        IndexingError: the secret is damaged, or the server does not answer.
    """
    with connected(address) as server:
        if _secret(server) is None:
            set_metadata(server, server.collection, {SECRET_KEY: new_secret()})
        # Read again: another service may have created one at the same time.
        return parse_secret(str(_secret(server)), f"{server.settings}: {SECRET_KEY}")


def _secret(server: Server) -> object:
    return metadata_of(server, server.collection).get(SECRET_KEY)


@contextmanager
def connected(address: str, waiting: Callable[[str], None] | None = None) -> Iterator[Server]:
    """A connection to the collection that is in use for an index; see `Server`."""
    server = Server(ServerSettings.parse(address), waiting=waiting)
    try:
        find_collection(server)
        yield server
    finally:
        server.close()


def manifest_of(server: Server) -> IndexManifest:
    """The manifest of the collection that a connection uses.

    Raises:
        IndexingError: the collection is not an index, or its vectors have other widths.
    """
    settings, name = server.settings, server.collection
    config = server.ask(lambda client: client.get_collection(name)).config
    values = (config.metadata or {}).get(MANIFEST_KEY)
    if values is None:
        raise IndexingError(
            f"{settings}: this collection is not an index of hgan; choose another name (servers "
            "older than Qdrant 1.16 do not store metadata and cannot be used)"
        )
    manifest = IndexManifest.parse(values, settings)
    vectors = config.params.vectors
    widths = {key: one.size for key, one in vectors.items()} if isinstance(vectors, dict) else {}
    if (widths.get("dense", 0), widths.get("local", 0)) != (manifest.dense, manifest.local):
        raise IndexingError(
            f"{settings}: damaged, the widths of its vectors are {widths}, but {manifest.dense} "
            f"and {manifest.local} are expected; delete the collection and index again"
        )
    return manifest
