"""The client against a service that really runs: the answers of the index itself."""

import pytest
from PIL import Image

from hgan.client import Client
from hgan.errors import DataError, IndexingError
from hgan.search.query import Query
from tests.serve.conftest import KEY


def test_a_client_finds_what_the_index_finds(address, photos):
    with Client(address) as client:
        assert len(client) == 12
        assert client.status()["name"] == photos.name
        [red, *others] = client.search("a red photo", 3)
        assert red.path.name.startswith("red")
        assert red.score >= others[0].score
        assert set(red.levels) == {"context", "shared", "local"}
        file = photos / "blue 0.png"
        with Image.open(file) as opened:
            opened.load()
            for photo in (file, str(file), file.read_bytes(), opened):
                assert client.search_image(photo, 1)[0].path.name == "blue 0.png"
        query = Query("green", photo=file, without=("red", "a\r\n--x"), photo_share=0.0)
        found = client.find(query, 5, offset=1, where=("folder=green",), threshold=-9.0, fold=False)
        assert [hit.path.parent.name for hit in found] == ["green"] * 2
        assert red.id not in [hit.id for hit in client.find(Query(like=red.id))]
        assert client.explain(red.id, "a red photo")["score"] == pytest.approx(red.score, abs=3e-3)
        with pytest.raises(DataError, match=r"no condition.*status 422"):
            client.search("red", where=("nonsense",))
        with pytest.raises(DataError, match="status 404"):
            client.find(Query(like="00000000-0000-0000-0000-000000000000"))
        with pytest.raises(DataError, match="not both"):
            client.find(Query(photo=file, like=red.id))
        with pytest.raises(DataError, match="status 415"):
            client.search_image(b"no photo")
        with pytest.raises(DataError, match="cannot be read"):
            client.search_image(photos / "none.png")
        with pytest.raises(DataError, match="status 401"):
            client.remove(red.id)
    managing = Client(address, KEY)
    managing.remove(red.id)
    assert len(managing) == 11


def test_nobody_there():
    with pytest.raises(IndexingError, match="does not answer"):
        Client("http://127.0.0.1:9").search("red")
    with pytest.raises(DataError, match="is no address"):
        Client("file:///etc/passwd")
