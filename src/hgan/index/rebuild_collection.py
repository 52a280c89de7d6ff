"""Build an index on a server anew; see `hgan.index.rebuild` and `hgan.index.store.aliases`."""

from collections.abc import Callable
from time import sleep
from urllib.parse import quote

from hgan.index.folders import source_of
from hgan.index.indexer import index_source
from hgan.index.open import open_to_write
from hgan.index.plan import Plan, Rebuild
from hgan.index.report import IndexReport
from hgan.index.store.aliases import (
    alias_of,
    collection_of,
    delete_collection,
    has_collection,
    metadata_of,
    old_collections,
    set_alias,
    use_collection,
)
from hgan.index.store.claim import claimed
from hgan.index.store.collection import SECRET_KEY, connected, create_store, manifest_of
from hgan.index.store.contract import Entry
from hgan.index.store.qdrant import QdrantStore
from hgan.index.store.server import Server
from hgan.index.tags import carry_tags
from hgan.progress import console
from hgan.runtime.bundle import Bundle

GRACE = 30.0
"""Seconds after the switch in which services open the new generation, before the old one is
deleted."""


def rebuild_collection(plan: Plan, waiting: Callable[[str], object]) -> Rebuild:
    """Fill a new collection, take it into use, and delete the old one."""
    address = str(plan.target)
    with connected(address, waiting=console.print) as server:
        if _finish(server, address, plan.bundle) and plan.matches(address):
            return Rebuild(IndexReport())  # an earlier run was killed after the switch
    with connected(address, waiting=console.print) as server:
        old = manifest_of(server)
        number = old.generation + 1
        place = _place(server, address, number)
        name = collection_of(server.settings.collection, number)
        if has_collection(server, name):
            plan.check(place)
        with create_store(place, plan.manifest), claimed(server, name) as check:
            report = plan.fill(place)
            check()
            _carry(server, [server.collection], place, plan.bundle)
            check()
            secret = {
                key: value
                for key, value in metadata_of(server, server.collection).items()
                if key == SECRET_KEY
            }
            with connected(place) as new:
                use_collection(server, manifest_of(new), number, secret)
    waiting(f"{address}: the new index is in use; the old one is deleted in {GRACE:.0f} seconds")
    sleep(GRACE)
    with connected(address, waiting=console.print) as server:
        _finish(server, address, plan.bundle)
    return Rebuild(report)


def _finish(server: Server, address: str, bundle: Bundle) -> bool:
    """Delete the collections of old generations, and let the name of the index be an alias.

    What was added to them after the switch, by services that had not opened the new generation yet,
    is carried over first.

    Returns:
        Whether there were any.
    """
    manifest = manifest_of(server)
    current = manifest.generation
    old = old_collections(server, current) if current else []
    if old:
        used = bundle if bundle.id == manifest.bundle else manifest.load_bundle()
        _carry(server, old, address, used, add=True)
        for name in old:
            delete_collection(server, name)
    if current and alias_of(server) is None:
        set_alias(server, server.collection)
    return bool(old)


def _carry(server: Server, names: list[str], place: str, bundle: Bundle, add: bool = False) -> None:
    """Bring a generation up to date with the photos, and carry over the user tags of others."""
    with connected(place) as new:
        manifest = manifest_of(new)
    if manifest.holds != "photos":
        return
    report = index_source(source_of(manifest), place, bundle)
    entries: list[Entry] = []
    used = server.collection
    for name in names:
        server.collection = name
        entries += QdrantStore(server, manifest.dense, manifest.local).entries()
    server.collection = used
    with open_to_write(manifest.root, place, bundle) as (store, _, _):
        carry_tags(entries, store, manifest, report.unreadable, add)


def _place(server: Server, address: str, number: int) -> str:
    """The address of the collection of a generation, with the settings of the present one."""
    settings = server.settings
    params = server.ask(lambda client: client.get_collection(server.collection)).config.params
    given = {
        name: getattr(settings, name) or getattr(params, name)
        for name in ("shard_number", "replication_factor", "write_consistency_factor")
    } | {name: getattr(settings, name) for name in ("timeout", "attempts", "patience")}
    query = "&".join(f"{name}={value}" for name, value in given.items() if value is not None)
    name = quote(collection_of(settings.collection, number), safe="")
    return f"{settings.url}/{name}?{query}"
