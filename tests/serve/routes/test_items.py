"""Photos that are added over HTTP, and what must not happen on the way."""

import errno
import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import ExifTags, Image
from starlette.testclient import TestClient

from hgan.errors import IndexingError
from hgan.index.indexer import IndexReport, index_folder
from hgan.search.ids import id_of_path
from hgan.search.searcher import open_index
from hgan.serve.app import create_app
from hgan.serve.settings import Settings
from tests.fixtures.messy import write_heic
from tests.fixtures.photos import COLOURS, save_photo
from tests.serve.conftest import HERE, KEY, public_id
from tests.serve.middleware.test_limits import streamed
from tests.serve.routes.test_photos import bomb

YELLOW = (230, 230, 20)


@pytest.fixture
def folder(tmp_path):
    """Three photos, which the test may change."""
    for name, colour in COLOURS.items():
        save_photo(tmp_path / f"folder/{name}.png", colour)
    return tmp_path / "folder"


@pytest.fixture
def place(folder, tmp_path, bundle):
    """Their index."""
    index_folder(folder, tmp_path / "place", bundle)
    return tmp_path / "place"


@pytest.fixture
def manager(place):
    """A client with a key."""
    with TestClient(create_app(place, Settings(keys=(KEY,))), base_url=HERE) as client:
        client.headers["x-api-key"] = KEY
        yield client


def photo(colour=YELLOW, kind="PNG", seed=1, **more):
    file = io.BytesIO()
    picture = Image.effect_noise((80, 64), 10).convert("RGB")
    Image.blend(picture, Image.new("RGB", (80, 64), colour), 0.9 + seed / 100).save(
        file, kind, **more
    )
    return file.getvalue()


def send(client, data, path, headers=None, **form):
    files = {"photo": ("x.bin", data, "application/octet-stream")}
    return client.post("/v1/items", files=files, data={"path": path, **form}, headers=headers)


def listed(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_photo_is_stored_and_found(manager, folder, place, bundle):
    data = photo()
    answer = send(manager, data, "2023/été/yellow.png", tags=["Beach ", "two  words"])
    assert answer.status_code == 201, answer.text
    item = answer.json()
    assert item["path"] == "2023/été/yellow.png"
    assert (item["bytes"], item["tags"]) == (len(data), ["beach", "two words"])
    assert answer.headers["location"] == f"/v1/items/{item['id']}"
    assert manager.get(answer.headers["location"]).json() == item
    assert (folder / "2023/été/yellow.png").read_bytes() == data
    assert manager.get(f"/v1/items/{item['id']}/photo").content == data
    asked = {"where": ["tag=two words", "folder=2023"], "text": "yellow"}
    [hit] = manager.post("/v1/search", json=asked).json()["hits"]
    assert hit["id"] == item["id"]
    under = TestClient(manager.app, base_url=HERE, root_path="/all", headers=dict(manager.headers))
    again = send(under, data, "2023/été/yellow.png", replace="true", tags=item["tags"])
    assert again.headers["location"] == f"/all/v1/items/{item['id']}"
    said = manager.get("/v1/status").json()
    assert (said["photos"], said["adding"]) == (4, 0)
    assert listed(folder) == ["2023", "2023/été", "2023/été/yellow.png", "blue.png", "green.png",
                              "red.png"]  # fmt: skip
    manager.__exit__(None, None, None)
    # What was encoded on the way in is what indexing would have made of the file.
    with open_index(place, bundle) as opened:
        [point] = opened._store.fetch([id_of_path("2023/été/yellow.png")], local=True)
    assert index_folder(folder, place, bundle) == IndexReport(unchanged=4)
    os.utime(folder / "2023/été/yellow.png")
    (place.parent / "fresh").mkdir()
    index_folder(folder, place.parent / "fresh/index", bundle)
    with open_index(place.parent / "fresh/index", bundle) as opened:
        [other] = opened._store.fetch([id_of_path("2023/été/yellow.png")], local=True)
    assert point.entry.digest == other.entry.digest
    assert point.dense == pytest.approx(other.dense, abs=1e-3)
    assert point.local == pytest.approx(other.local, abs=1e-3)


def test_nobody_learns_the_position(manager):
    """Only city and country are public, in each answer that describes the photo."""
    exif = Image.Exif()
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (38.0, 43.0, 30.0), 3: "W", 4: (9.0, 9.0, 0.0)}
    exif[ExifTags.Base.Rating] = 4
    added = send(manager, photo(kind="JPEG", exif=exif), "lisbon.jpg").json()
    assert (added["city"], added["country"], added["rating"]) == ("Lisbon", "Portugal", 4)
    assert (added["width"], added["height"]) == (80, 64)
    one = manager.get(f"/v1/items/{added['id']}")
    looked_up = manager.post("/v1/lookup", json={"path": "lisbon.jpg"})
    searched = manager.post("/v1/search", json={"text": "yellow", "k": 9})
    assert any(hit["width"] == 80 for hit in searched.json()["hits"])
    for answer in (one, looked_up, searched):
        assert answer.status_code == 200
        assert "38.7" not in answer.text and "fingerprint" not in answer.text
    thumbnail = manager.get(f"/v1/items/{added['id']}/thumbnail")
    assert not Image.open(io.BytesIO(thumbnail.content)).getexif()


def test_no_photo_is_replaced_unless_asked(manager, folder):
    before = (folder / "red.png").read_bytes()
    data = photo()
    answer = send(manager, data, "red.png")
    assert answer.status_code == 409
    assert (folder / "red.png").read_bytes() == before
    red = public_id(manager.app, "red.png")
    old = manager.get(f"/v1/items/{red}/thumbnail").headers["etag"]
    answer = send(manager, data, "red.png", replace="true")
    assert answer.status_code == 200
    assert answer.json()["id"] == red
    assert answer.json()["bytes"] == len(data)
    assert (folder / "red.png").read_bytes() == data
    assert manager.get(f"/v1/items/{red}/thumbnail").headers["etag"] != old
    assert manager.get("/v1/status").json()["photos"] == 3


def test_the_file_of_a_photo_that_is_removed_stays(manager, folder, place, bundle):
    item = send(manager, photo(), "yellow.png").json()
    assert manager.delete(f"/v1/items/{item['id']}").status_code == 204
    assert manager.get(f"/v1/items/{item['id']}").status_code == 404
    assert (folder / "yellow.png").is_file()
    manager.__exit__(None, None, None)
    assert index_folder(folder, place, bundle) == IndexReport(added=1, unchanged=3)


def test_no_photo_is_added_that_the_next_indexing_would_leave_out(place, folder, bundle):
    (folder / ".hganignore").write_text("drafts/\n")
    index_folder(folder, place, bundle, exclude=["*.gif"])
    before = listed(folder)
    with TestClient(create_app(place, Settings(keys=(KEY,))), base_url=HERE) as client:
        client.headers["x-api-key"] = KEY
        for path, rule in (
            ("new/drafts/a.png", "drafts/ in .hganignore"),
            ("a.gif", "--exclude *.gif"),
            ("2023/@eaDir/a.png", "@eaDir/"),
        ):
            answer = send(client, photo(), path)
            assert answer.status_code == 422, answer.text
            assert f"files with this path are ignored ({rule})" in answer.json()["detail"]
        file = io.BytesIO()
        Image.new("RGB", (500, 63)).save(file, "PNG")
        answer = send(client, file.getvalue(), "small.png")
        assert answer.status_code == 415
        assert "500 x 63 pixels; at least 64" in answer.json()["detail"]
        assert listed(folder) == before
        assert send(client, photo(), "drafts.png").status_code == 201


NONE = {
    "empty": (b"", "a.png"),
    "cut": (photo()[:-200], "a.png"),
    "bomb": (bomb(), "a.png"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.png"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0", "a.jpg"),
    "html": (b"<html><script>alert(1)</script>", "new/folder/a.gif"),
    "png as jpg": (photo(), "a.jpg"),
    "jpg as webp": (photo(kind="JPEG"), "a.webp"),
}


def test_what_is_no_photo_leaves_nothing_behind(manager, folder):
    before = listed(folder)
    for name, (data, path) in NONE.items():
        answer = send(manager, data, path)
        assert answer.status_code == 415, name
        assert answer.headers["content-type"] == "application/problem+json"
        assert listed(folder) == before, name
    assert manager.get("/v1/status").json()["photos"] == 3


@pytest.mark.slow
def test_an_heic_photo(manager, folder, tmp_path):
    """Browsers do not show its file, so there is a JPEG for the whole screen."""
    write_heic(tmp_path / "a.heic", Image.effect_noise((3000, 1500), 9).convert("RGB"))
    data = (tmp_path / "a.heic").read_bytes()
    answer = send(manager, data, "2024/a.HEIC")
    assert answer.status_code == 201, answer.text
    item = f"/v1/items/{answer.json()['id']}"
    shown = manager.get(f"{item}/photo")
    assert (shown.headers["content-type"], shown.content) == ("image/heic", data)
    shown = manager.get(f"{item}/thumbnail", params={"size": 2048})
    assert Image.open(io.BytesIO(shown.content)).size == (2048, 1024)
    assert send(manager, data, "a.jpg").status_code == 415


def test_every_kind_of_photo(manager):
    several = {"save_all": True, "append_images": [Image.new("RGB", (80, 64))]}
    for kind, suffix, media_type in (
        ("JPEG", "JPG", "jpeg"),
        ("MPO", "jpeg", "jpeg"),
        ("WEBP", "webp", "webp"),
        ("GIF", "gif", "gif"),
        ("BMP", "bmp", "bmp"),
        ("TIFF", "tif", "tiff"),
        ("AVIF", "avif", "avif"),
    ):
        data = photo(kind=kind, **(several if kind == "MPO" else {}))
        answer = send(manager, data, f"{kind}.{suffix}")
        assert answer.status_code == 201, answer.text
        shown = manager.get(f"/v1/items/{answer.json()['id']}/photo")
        assert shown.headers["content-type"] == f"image/{media_type}"
        assert shown.content == data


ELSEWHERE = (
    "../escaped.png", "/tmp/escaped.png", "a/../../escaped.png", "..\\escaped.png", ".escaped.png",
    "link/escaped.png", "inner/escaped.png", "x\0.png", "escaped.html", "place/edge/x.png", "",
)  # fmt: skip


def test_no_photo_goes_elsewhere(bundle, tmp_path):
    folder, outside = tmp_path / "all", tmp_path / "outside"
    save_photo(folder / "red/red.png", (230, 20, 20))
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "inner").symlink_to(folder / "red")
    index_folder(folder, folder / "place", bundle)  # an index among its photos
    with TestClient(create_app(folder / "place", Settings(keys=(KEY,))), base_url=HERE) as client:
        before = listed(tmp_path)
        for path in ELSEWHERE:
            for replace in ("false", "true"):
                answer = send(client, photo(), path, {"x-api-key": KEY}, replace=replace)
                assert answer.status_code == 422, path
                assert str(tmp_path) not in answer.text
                assert listed(tmp_path) == before, path


def test_places_that_are_taken(manager, folder, tmp_path):
    secret = save_photo(tmp_path / "secret.png", (1, 2, 3)).read_bytes()
    (folder / "linked.png").symlink_to(tmp_path / "secret.png")
    (folder / "folder.png").mkdir()
    for path in ("linked.png", "red.png/a.png", "folder.png"):
        for replace in ("false", "true"):
            assert send(manager, photo(), path, replace=replace).status_code == 409
    assert (tmp_path / "secret.png").read_bytes() == secret


def test_forms_that_are_none(manager, folder):
    before = listed(folder)
    for form in ({"tags": [""]}, {"tags": ["\u202e"]}, {"tags": ["x" * 101]}, {"tags": ["a"] * 101},
                 {"replace": "perhaps"}, {"unknown": "1"}):  # fmt: skip
        assert send(manager, photo(), "a.png", **form).status_code == 422, form
    assert listed(folder) == before
    assert manager.post("/v1/items", data={"path": "a.png"}).status_code == 422
    assert manager.post("/v1/items", json={"path": "a.png"}).status_code == 422


def test_a_wrong_key_is_refused_before_the_photo_is_read(manager, folder):
    del manager.headers["x-api-key"]
    before = listed(folder)

    def endless():
        yield b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
        raise AssertionError("the body was read")

    for key in (None, "", "wrong", KEY[:-1], KEY + "x"):
        headers = {} if key is None else {"x-api-key": key}
        assert send(manager, photo(), "a.png", headers).status_code == 401
        headers["content-type"] = "multipart/form-data; boundary=x"
        assert streamed(manager.app, "/v1/items", headers, endless()) == [401]
    assert listed(folder) == before


def test_nothing_can_be_added_without_keys(client, photos):
    before = listed(photos)
    answer = send(client, photo(), "a.png", {"x-api-key": KEY})
    assert answer.status_code == 403
    assert "HGAN_API_KEYS" in answer.json()["detail"]
    assert listed(photos) == before


def test_where_the_index_fails_the_folder_is_as_before(manager, folder, monkeypatch):
    before = {name: (folder / name).read_bytes() for name in listed(folder)}

    def fails(_points):
        raise IndexingError(f"{folder}: the server does not answer")

    monkeypatch.setattr(manager.app.state.service.library._store, "upsert", fails)
    for path in ("new/deep/a.png", "red.png"):
        answer = send(manager, photo(), path, replace="true")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert {name: (folder / name).read_bytes() for name in listed(folder)} == before
    monkeypatch.undo()
    assert send(manager, photo(), "new/deep/a.png").status_code == 201


def test_a_folder_that_cannot_be_written(manager, folder, monkeypatch):
    """Root, who runs these tests in containers, may write anywhere: the answers of the system are
    put into its mouth."""
    before = listed(folder)
    for number, status in (
        (errno.EACCES, 403),
        (errno.EROFS, 403),
        (errno.ENOSPC, 507),
        (errno.EDQUOT, 507),
    ):
        error = OSError(number, os.strerror(number), str(folder))

        def fails(*_arguments, error=error):
            raise error

        monkeypatch.setattr("hgan.serve.uploads.atomic_write", fails)
        answer = send(manager, photo(), "new/a.png")
        assert answer.status_code == status
        assert "nothing was stored" in answer.json()["detail"]
        assert str(folder.parent) not in answer.text
        assert listed(folder) == before


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_really_cannot_be_written(manager, folder):
    folder.chmod(0o500)
    try:
        assert send(manager, photo(), "a.png").status_code == 403
    finally:
        folder.chmod(0o700)


def test_a_folder_that_has_gone(manager, folder, tmp_path):
    folder.rename(tmp_path / "elsewhere")
    answer = send(manager, photo(), "a.png")
    assert answer.status_code == 403
    assert "no longer exists" in answer.json()["detail"]
    assert not folder.exists()


def test_of_many_that_want_one_name_one_gets_it(manager, folder):
    photos = [photo(seed=seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda data: send(manager, data, "new/a.png"), photos))
    codes = [answer.status_code for answer in answers]
    assert sorted(codes) == [201] + [409] * 7
    assert (folder / "new/a.png").read_bytes() == photos[codes.index(201)]
    assert listed(folder / "new") == ["a.png"]


def test_searches_go_on_while_photos_are_added(manager):
    done = threading.Event()

    def search():
        found = 0
        while not done.is_set():
            answer = manager.post("/v1/search", json={"text": "red", "k": 200})
            assert answer.status_code == 200, answer.text
            paths = [hit["path"] for hit in answer.json()["hits"]]
            assert {"red.png", "green.png", "blue.png"} <= set(paths)
            found += 1
        return found

    with ThreadPoolExecutor(4) as pool:
        searching = [pool.submit(search) for _ in range(3)]
        try:
            for seed in range(10):
                path = f"{seed}.png"
                assert send(manager, photo(seed=seed), path).status_code == 201
        finally:
            done.set()
        assert all(one.result() > 0 for one in searching)
    assert manager.get("/v1/status").json()["photos"] == 13
