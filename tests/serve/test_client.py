"""The client with a running service: the results of the index itself."""

import shutil

import pytest
from PIL import Image

from hgan.client import Client
from hgan.errors import DataError, IndexingError
from hgan.index.conditions.filter import Filter
from hgan.index.indexer import index_folder
from hgan.search.query import Query
from hgan.search.searcher import open_index
from hgan.serve.app import create_app
from hgan.serve.settings import Settings
from tests.fixtures.photos import save_photo
from tests.fixtures.tiny_bundle import CONTEXT_ONLY, write_tiny_bundle
from tests.serve.conftest import KEY, listening


def test_a_client_finds_what_the_index_finds(address, photos):
    with Client(address) as client:
        assert len(client) == 12
        assert client.status()["name"] == photos.name
        [red, *others] = client.search("a red photo", 3)
        assert client.ask("a red photo -folder:green", 1) == [red]
        with pytest.raises(DataError, match="'rating:many'"):
            client.ask("a red photo rating:many")
        assert red.path.name.startswith("red")
        assert red.score >= others[0].score
        assert set(red.levels) == {"context", "shared", "local"}
        file = photos / "blue 0.png"
        with Image.open(file) as opened:
            opened.load()
            for photo in (file, str(file), file.read_bytes(), opened):
                names = sorted(hit.path.name for hit in client.search_image(photo, 4))
                assert names == [f"blue {i}.png" for i in range(4)]
        query = Query("green", photo=file, without=("red", "a\r\n--x"), photo_share=0.0)
        found = client.find(query, 5, offset=1, where=("folder=green",), threshold=-9.0, fold=False)
        assert [hit.path.parent.name for hit in found] == ["green"] * 2
        assert red.id not in [hit.id for hit in client.find(Query(like=red.id))]
        for name in (red.id, red.path.as_posix()):
            explained = client.explain(name, "a red photo")
            assert explained.score == pytest.approx(red.score, abs=3e-3)
            assert red.id not in [hit.id for hit in client.find(Query(like=name))]
        with pytest.raises(DataError, match="not a valid condition"):
            client.search("red", where=("nonsense",))
        with pytest.raises(DataError, match="status 404"):
            client.find(Query(like="00000000-0000-0000-0000-000000000000"))
        with pytest.raises(DataError, match="candidates"):
            client.search("red", candidates=100)
        with pytest.raises(DataError, match="not both"):
            client.find(Query(photo=file, like=red.id))
        with pytest.raises(DataError, match="status 415"):
            client.search_image(b"no photo")
        with pytest.raises(DataError, match="no such file"):
            client.search_image(photos / "none.png")
        with pytest.raises(DataError, match="status 401"):
            client.remove(red.id)
    managing = Client(address, KEY)
    managing.remove(red.id)
    assert len(managing) == 11


def test_no_service():
    with pytest.raises(IndexingError, match="does not answer"):
        Client("http://127.0.0.1:9").search("red")
    for url in ("file:///etc/passwd", "http://", "localhost:8000", "http://x:y"):
        with pytest.raises(DataError, match="is not an address"):
            Client(url)


def test_many_queries_and_new_photos(address, photos, made, bundle, tmp_path):
    with open_index(made, bundle) as index, Client(address) as client:
        [found] = index.search("red", 1)
        red = found.path.relative_to(index.root).as_posix()
        queries = [Query(f"{number} red dogs") for number in range(40)]
        queries[7:7] = [Query(photo=photos / "blue 0.png"), Query(like=red)]
        where = Filter.parse(["folder=red"])
        expected = index.find_many(queries, 3, offset=1, where=where)
        for same in (where, "folder=red", ["folder=red"]):
            one = client.find(queries[0], 3, offset=1, where=same)
            assert [index.root / hit.path for hit in one] == [hit.path for hit in expected[0]]
        found = client.find_many(queries, 3, offset=1, where=where)
        for hits, others in zip(found, expected, strict=True):
            assert [index.root / hit.path for hit in hits] == [hit.path for hit in others]
            for hit, other in zip(hits, others, strict=True):
                assert hit.score == pytest.approx(other.score, abs=1e-5)
        here, there = (one.explain(red, "a red dog") for one in (index, client))
        assert there.as_dict() == here.as_dict()
        assert client.find_many([]) == []
        with pytest.raises(DataError, match="status 401"):
            client.add(photos / "red 0.png", "a.png")


def test_patches_of_a_dual_encoder(tmp_path, photos):
    folder = write_tiny_bundle(tmp_path / "dual", weights=CONTEXT_ONLY, patches=True)
    index_folder(photos, tmp_path / "index", folder)
    with open_index(tmp_path / "index") as index:
        there = index.explain("red 0.png", "a red dog")
    app = create_app(tmp_path / "index")
    with listening(app) as url, Client(url) as client:
        here = client.explain("red 0.png", "a red dog")
    assert here.as_dict() == there.as_dict()
    assert len(here.patches.similarity) == len(here.boxes) == 16
    assert here.patches.source.startswith("patch tokens of Tiny")


def test_adding_by_the_client(tmp_path, bundle, photos):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    index_folder(folder, tmp_path / "index", bundle)
    settings = Settings(keys=(KEY,))
    with listening(create_app(tmp_path / "index", settings)) as url, Client(url, KEY) as client:
        new = save_photo(tmp_path / "new.png", (230, 230, 20))
        item = client.add(new, "2024/new.png", tags=("Summer",))
        assert (item["path"], item["tags"]) == ("2024/new.png", ["summer"])
        assert [hit.id for hit in client.search("a", where=("tag=summer",))] == [item["id"]]
        with pytest.raises(DataError, match="status 409"):
            client.add(new.read_bytes(), "2024/new.png")
        with Image.open(photos / "red 0.png") as image:
            assert client.add(image, "2024/new.png", replace=True)["id"] == item["id"]
        assert (len(client), client.status()["index"]["engine"]) == (13, "edge")
        client.remove(item["id"])
        assert (len(client), (folder / "2024/new.png").is_file()) == (12, True)
