"""Indexes on a server: the metadata of a collection, and collections that do not fit it."""

import sys
from dataclasses import replace

import pytest
from qdrant_client import models

from hgan.errors import ConfigError, IndexingError
from hgan.index.store.manifest import FORMAT_VERSION, IndexManifest
from hgan.index.store.open import create_store, open_store, read_manifest
from tests.fixtures.points import DENSE, LOCAL, points
from tests.fixtures.qdrant_proxy import new_server

PLACE = "http://qdrant:6333/photos"
MANIFEST = IndexManifest("/photos", "abc", "mine", "/bundles/mine", DENSE, LOCAL)


@pytest.fixture(autouse=True)
def server(monkeypatch):
    made = new_server()
    monkeypatch.setattr("hgan.index.store.server.connect", lambda _settings: made)
    return made


def test_what_was_written_is_there_after_opening_again():
    with create_store(PLACE, MANIFEST) as store:
        store.upsert(points(5))
    assert read_manifest(PLACE) == MANIFEST
    with create_store(PLACE, MANIFEST) as store:
        store.upsert(points(7))
    with open_store(PLACE, read_manifest(PLACE)) as store:
        assert store.count() == 7
        with open_store(PLACE, MANIFEST) as other:  # no lock: many may read
            assert other.count() == 7
    with pytest.raises(IndexingError, match="closed"):
        store.count()


def test_no_collection():
    with pytest.raises(IndexingError, match="photos"):
        read_manifest(PLACE)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (replace(MANIFEST, bundle="xyz"), "made with bundle mine"),
        (replace(MANIFEST, root="/other"), "contains the photos of /photos"),
        (replace(MANIFEST, quantize="int8"), "made without quantization"),
    ],
)
def test_index_of_other_things(wanted, reason):
    with create_store(PLACE, MANIFEST) as store:
        store.upsert(points(5))
    with pytest.raises(IndexingError, match=reason), create_store(PLACE, wanted):
        pass
    with open_store(PLACE, MANIFEST) as store:
        assert store.count() == 5


def test_quantized_index_needs_the_option_once():
    with create_store(PLACE, replace(MANIFEST, quantize="int8")) as store:
        store.upsert(points(5))
    with create_store(PLACE, MANIFEST) as store:
        assert store.count() == 5
    assert read_manifest(PLACE).quantize == "int8"


def test_collection_of_somebody_else(server):
    params = models.VectorParams(size=3, distance=models.Distance.DOT)
    server.create_collection("photos", vectors_config=params, metadata={"owner": "somebody"})
    for use in (lambda: read_manifest(PLACE), lambda: create_store(PLACE, MANIFEST).__enter__()):
        with pytest.raises(IndexingError, match="not an index of hgan; choose another name"):
            use()
    assert server.get_collection("photos").config.metadata == {"owner": "somebody"}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"format_version": FORMAT_VERSION + 1}, "upgrade hgan"),
        ({"format_version": 2}, "damaged"),
        ([], "damaged"),
    ],
)
def test_damaged_and_newer_metadata(server, values, reason):
    with create_store(PLACE, MANIFEST):
        pass
    server.delete_collection("photos")
    params = models.VectorParams(size=3, distance=models.Distance.DOT)
    server.create_collection("photos", vectors_config=params, metadata={"hgan": values})
    with pytest.raises(IndexingError, match=reason):
        read_manifest(PLACE)


def test_without_the_client(monkeypatch):
    monkeypatch.setitem(sys.modules, "hgan.index.store.collection", None)
    monkeypatch.delattr("hgan.index.store.collection", raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'hgan\[serve\]'"):
        read_manifest(PLACE)


def test_folders_are_still_folders(tmp_path):
    with create_store(tmp_path / "http:" / "index", MANIFEST) as store:
        store.upsert(points(2))
    assert read_manifest(str(tmp_path / "http:" / "index")) == replace(MANIFEST, points=2)
