"""Ids of photos cannot be guessed, also not from the names of files."""
# ruff: noqa: F401, F811 - fixtures of the service are imported

import stat
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from hgan.errors import IndexingError
from hgan.index.indexer import index_folder
from hgan.search.ids import id_of_path
from hgan.serve.app import create_app
from hgan.serve.public_ids import PublicIds
from tests.serve.conftest import HERE, KEY, address, client, index, made, photos, public_id, serve

RED = "red 0.png"


def test_names_of_files_do_not_give_ids(client):
    stored = id_of_path(RED)
    for what in ("", "/photo", "/thumbnail"):
        assert client.get(f"/v1/items/{stored}{what}").status_code == 404
    asked = {"id": stored, "text": "red"}
    assert client.post("/v1/explain", json=asked).status_code == 404
    assert client.post("/v1/search", json={"like": stored}).status_code == 404
    found = client.post("/v1/search", json={"text": "red", "k": 200}).json()["hits"]
    assert len(found) == 12
    for hit in found:
        assert hit["id"] != id_of_path(hit["path"])
        assert client.get(f"/v1/items/{hit['id']}").json()["path"] == hit["path"]


def test_an_id_by_its_path(client):
    answer = client.post("/v1/lookup", json={"path": RED})
    assert (answer.json()["id"], answer.json()["path"]) == (public_id(client.app, RED), RED)
    assert client.post("/v1/lookup", json={"path": "none.png"}).status_code == 404
    # A page of another site can send this without asking the service first.
    plain = {"content-type": "text/plain"}
    answer = client.post("/v1/lookup", content=b'{"path": "red 0.png"}', headers=plain)
    assert answer.status_code == 422


def ids_of(index):
    with TestClient(create_app(index), base_url=HERE) as client:
        found = client.post("/v1/search", json={"text": "red", "k": 200}).json()["hits"]
    return {hit["path"]: hit["id"] for hit in found}


@pytest.mark.slow
def test_ids_are_stable_and_belong_to_one_index(photos, bundle, index, tmp_path):
    secret = index / "secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    before = ids_of(index)
    index_folder(photos, index, bundle)
    assert ids_of(index) == before
    index_folder(photos, tmp_path / "other", bundle)
    assert not set(before.values()) & set(ids_of(tmp_path / "other").values())
    secret.unlink()  # an index of an older version
    changed = ids_of(index)
    assert not set(before.values()) & set(changed.values())
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert ids_of(index) == changed


@pytest.mark.parametrize("damage", [b"", b"00ff", b"x" * 64, b"\xff" * 64])
def test_a_damaged_secret_is_refused(index, damage):
    (index / "secret").write_bytes(damage)
    with pytest.raises(IndexingError, match="secret: "):
        create_app(index)
    (index / "secret").unlink()
    create_app(index).state.service.close()


def test_public_ids_are_a_permutation():
    ids, other = PublicIds(bytes(32)), PublicIds(bytes(31) + b"\1")
    stored = [str(uuid4()) for _ in range(1000)]
    public = [ids.public(key) for key in stored]
    assert [ids.stored(UUID(key)) for key in public] == stored
    assert len(set(public)) == 1000
    assert not {other.public(key) for key in stored} & set(public)
    # One bit of the id changes half of the bits.
    flips = [(UUID(ids.public(str(UUID(int=1 << bit)))).int).bit_count() for bit in range(128)]
    assert 50 < sum(flips) / 128 < 78
