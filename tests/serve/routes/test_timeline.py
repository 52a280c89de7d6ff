"""The timeline over HTTP: pages, filters, cursors that are none, and the same from Python."""

import os
import shutil
from dataclasses import replace

import pytest
from PIL import ExifTags, Image
from starlette.testclient import TestClient

from hgan.client import Client
from hgan.errors import DataError
from hgan.index.indexer import index_folder
from hgan.search.searcher import open_index
from hgan.serve.app import create_app
from tests.fixtures.photos import save_photo
from tests.serve.conftest import HERE, listening

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def dated(tmp_path_factory, bundle):
    """An index of a photo of each month of 2023, two of the same second."""
    folder = tmp_path_factory.mktemp("dated") / "photos"
    for month in range(1, 13):
        path = save_photo(folder / f"{month % 2}/{month:02}.jpg", (20 * month, 99, 99), seed=month)
        exif = Image.Exif()
        time = f"2023:{max(month, 2):02}:05 10:00:00"
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = time
        with Image.open(path) as photo:
            photo.load()
        photo.save(path, exif=exif)
        os.utime(path, (10**9, 10**9))
    to = folder.parent / "index"
    index_folder(folder, to, bundle)
    return to


@pytest.fixture(scope="module")
def service(dated):
    copy = shutil.copytree(dated, dated.parent / "served")
    with TestClient(create_app(copy), base_url=HERE) as client:
        yield client


def pages(client: TestClient, **asked: object) -> list[list[dict]]:
    found, cursor = [], ""
    while cursor is not None:
        answer = client.get("/v1/items", params={**asked, "cursor": cursor})
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["items"])
        cursor = answer.json()["cursor"]
    return found


def test_pages_are_complete_and_in_order(service):
    whole = pages(service)
    assert len(whole) == 1
    [items] = whole
    assert [item["taken"] for item in items] == sorted(
        (item["taken"] for item in items), reverse=True
    )
    assert len({item["id"] for item in items}) == 12
    for size in (1, 5, 6, 12, 200):
        found = pages(service, k=size)
        assert [item for page in found for item in page] == items
        assert all(page for page in found)


def test_filters_alone_find_photos(service):
    found = pages(service, k=2, where=["folder=1", "taken>=2023-06"])
    assert [item["path"] for page in found for item in page] == ["1/11.jpg", "1/09.jpg", "1/07.jpg"]
    assert service.get("/v1/items", params={"where": "folder=2"}).json() == {
        "items": [],
        "cursor": None,
    }


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "none",
        f"none_{NOBODY}x",
        f"nan_{NOBODY}",
        f"1e5_{NOBODY}",
        f"{'9' * 16}_{NOBODY}",
        f"٣_{NOBODY}",
        f"none_{NOBODY}\n",
    ],
)
def test_a_cursor_that_is_none_is_refused(service, cursor):
    answer = service.get("/v1/items", params={"cursor": cursor})
    assert answer.status_code == 400
    assert "cursor" in answer.json()["detail"]


@pytest.mark.parametrize("time", ["none", "0", "-5", "9" * 15])
def test_any_place_can_be_continued(service, time):
    answer = service.get("/v1/items", params={"cursor": f"{time}_{NOBODY}"})
    assert answer.status_code == 200
    assert len(answer.json()["items"]) == (12 if time[0] == "9" else 0)


@pytest.mark.parametrize(
    "asked",
    [{"k": 0}, {"k": 201}, {"where": "x" * 1001}, {"where": ["tag=a"] * 33}, {"cursor": "x" * 101}],
)
def test_bounds(service, asked):
    assert service.get("/v1/items", params=asked).status_code in (400, 422)


def test_a_condition_that_is_none_is_refused(service):
    answer = service.get("/v1/items", params={"where": "nothing"})
    assert (answer.status_code, "nothing" in answer.json()["detail"]) == (422, True)


def test_index_and_client_browse_alike(dated):
    with open_index(dated) as index:
        root = index.root
        local = [replace(one, path=one.path.relative_to(root), id="") for one in index.browse()]
        some = [photo.path for photo in index.browse("taken<2023-04")]
        assert len(some) == 3
        assert some[0].name == "03.jpg"
        with pytest.raises(DataError, match="nothing"):
            index.browse("nothing")
    assert len(local) == 12
    assert not any(photo.file_time for photo in local)
    assert {photo.width for photo in local} != {0}
    with listening(create_app(dated)) as url, Client(url) as client:
        assert [replace(photo, id="") for photo in client.browse()] == local
        assert [photo.path.name for photo in client.browse(["folder=1", "taken>2023-10"])] == [
            "11.jpg"
        ]


def test_conditions_alone_find_the_newest(dated, service):
    line = "in:2023 -folder:1"
    with open_index(dated) as index:
        expected = [photo.id for photo in index.browse(["taken=2023", "not folder=1"])]
        assert len(expected) == 6
        hits = index.ask(line, 4, offset=1)
        assert [hit.id for hit in hits] == expected[1:5]
        assert {(hit.score, hit.relevance, len(hit.levels)) for hit in hits} == {(0.0, None, 0)}
        assert {hit.width for hit in hits} != {0}
        for option in ({"threshold": 0.1}, {"min_relevance": 0.5}):
            with pytest.raises(DataError, match="conditions alone have no score"):
                index.ask(line, **option)
        ranked = index.ask(f"{line} -dog", 6)  # what they should not show is something to rank by
        assert all(hit.levels for hit in ranked)
    asked = {"q": line, "k": 4, "offset": 1}
    found = service.post("/v1/search", json=asked).json()
    assert [hit["path"] for hit in found["hits"]] == [
        hit.path.relative_to(index.root).as_posix() for hit in hits
    ]
    assert found["parsed"]["text"] == ""
    assert service.post("/v1/search", json={**asked, "threshold": 0.1}).status_code == 422
    missing = service.post("/v1/search", json={"q": "camera:canon"}).json()
    assert missing["hits"] == [] and missing["notices"] == ["No photo has a camera"]
    with listening(create_app(dated)) as url, Client(url) as client:
        assert [hit.path.name for hit in client.ask(line, 4, offset=1)] == [
            hit.path.name for hit in hits
        ]


def test_copies_of_a_second_are_put_together(tmp_path, bundle):
    folder = tmp_path / "photos"
    taken = Image.Exif()
    taken.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2023:05:05 10:00:00"
    for name, colour in (("red", (200, 9, 9)), ("blue", (9, 9, 200))):
        path = save_photo(folder / f"{name}.jpg", colour, seed=1)
        with Image.open(path) as photo:
            photo.save(path, exif=taken)
    shutil.copy(folder / "red.jpg", folder / "red copy.jpg")
    index_folder(folder, tmp_path / "index", bundle)
    with listening(create_app(tmp_path / "index")) as url, Client(url) as client:
        assert len(list(client.browse())) == 3
        photos = {one.path.name: one for one in client.browse(fold=True)}
        hits = client.ask("in:2023", fold=True)
    with open_index(tmp_path / "index") as index:
        local = [replace(one, path=one.path.relative_to(folder)) for one in index.browse(fold=True)]
    assert [one.path for one in local] == [photo.path for photo in photos.values()]
    assert photos["blue.jpg"].duplicates == ()
    [copied] = [one for one in photos.values() if one.duplicates]
    assert {copied.path.name, *(path.name for path in copied.duplicates)} == {
        "red.jpg",
        "red copy.jpg",
    }
    assert len(copied.duplicate_ids) == 1 and copied.duplicate_ids[0] != copied.id
    assert [(hit.path, hit.duplicates) for hit in hits] == [
        (one.path, one.duplicates) for one in photos.values()
    ]
