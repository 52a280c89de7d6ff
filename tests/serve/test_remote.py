"""A service over a collection on a server, and its errors when that server is unreachable."""

import io

import pytest
from PIL import Image
from starlette.testclient import TestClient

from hgan.errors import IndexingError
from hgan.index.indexer import index_folder
from hgan.index.store.server import FIRST_PAUSE, ServerSettings
from hgan.search.searcher import open_index
from hgan.serve.app import create_app
from hgan.serve.library import _with_short_timeouts
from hgan.serve.settings import Settings
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.qdrant_http import ServedQdrant
from tests.fixtures.qdrant_proxy import new_server
from tests.serve.conftest import HERE, KEY


@pytest.fixture
def server(tmp_path, bundle, monkeypatch):
    """With an index of three photos."""
    made = new_server()
    with monkeypatch.context() as patch:
        patch.setattr("hgan.index.store.server.connect", lambda _settings: made)
        for name, colour in COLOURS.items():
            save_photo(tmp_path / f"photos/{name}.png", colour)
        index_folder(tmp_path / "photos", "http://qdrant:6333/photos?shard_number=2", bundle)
    served = ServedQdrant(made)
    yield served
    served.stop()


def test_a_server_that_goes_away_and_comes_back(server, bundle, tmp_path):
    place = f"{server.url}/photos?attempts=2&timeout=5"
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (230, 230, 20)).save(file, "PNG")
    with open_index(place, bundle) as index:
        found = index.search("red")
    with TestClient(create_app(place, Settings(keys=(KEY,))), base_url=HERE) as client:
        client.headers["x-api-key"] = KEY
        expected = [client.app.state.service.library.ids.public(hit.id) for hit in found]

        def ask():
            item = f"/v1/items/{expected[0]}"
            files = {"photo": file.getvalue()}
            return {
                "search": client.post("/v1/search", json={"text": "red"}),
                "batch": client.post("/v1/search/batch", json={"queries": [{"text": "red"}]}),
                "photo": client.post("/v1/search/photo", files=files),
                "item": client.get(item),
                "thumbnail": client.get(f"{item}/thumbnail"),
                "status": client.get("/v1/status"),
                "ready": client.get("/ready"),
                "add": client.post(
                    "/v1/items", files=files, data={"path": "new/a.png", "replace": "true"}
                ),
            }

        before = ask()
        assert {name: answer.status_code for name, answer in before.items()} == dict.fromkeys(
            before, 200
        ) | {"add": 201}
        assert [hit["id"] for hit in before["search"].json()["hits"]] == expected
        kept = before["status"].json()["index"]
        assert (kept["engine"], kept["optimizing"], kept["bytes_on_disk"]) == (
            "server", False, None,
        )  # fmt: skip

        server.stop()
        (tmp_path / "photos/new/a.png").unlink()
        for name, answer in ask().items():
            assert answer.status_code == 503, name
            assert int(answer.headers["retry-after"]) > 0, name
            assert answer.headers["content-type"] == "application/problem+json"
            assert server.url not in answer.text
        assert not (tmp_path / "photos/new/a.png").exists()
        assert client.get("/health").status_code == 200

        server.start()
        after = ask()
        assert {answer.status_code // 100 for answer in after.values()} == {2}
        assert len(after["search"].json()["hits"]) == 4


def test_a_server_that_does_not_answer_in_time(server):
    app = create_app(f"{server.url}/photos?attempts=1&timeout=1")
    with TestClient(app, base_url=HERE) as client:
        server.answers.clear()
        answers = [
            client.get("/ready"),
            client.post("/v1/search", json={"text": "red"}),
            client.get("/v1/status"),
        ]
        server.answers.set()
        for answer in answers:
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
        assert client.get("/ready").status_code == 200


def test_the_server_is_given_up_before_the_request_is():
    plain = ServerSettings.parse(_with_short_timeouts("http://qdrant:6333/photos"))
    longest = plain.timeout * plain.attempts + FIRST_PAUSE * 2**plain.attempts
    assert longest < Settings().time_limit
    place = "https://qdrant/a?shard_number=3&timeout=25"
    said = ServerSettings.parse(_with_short_timeouts(place))
    assert (said.shard_number, said.timeout, said.attempts) == (3, 25, 2)
    both = f"{place}&attempts=7"
    assert _with_short_timeouts(both) == both


def test_no_server_to_begin_with(server):
    server.stop()
    with pytest.raises(IndexingError, match=r"does not answer .*is it running at http://127"):
        create_app(f"{server.url}/photos?attempts=1")
