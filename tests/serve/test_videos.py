"""Videos over HTTP: pictures and times of their frames, downloads, and the video itself."""

import io
import os
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from hgan.client import Client
from hgan.index.indexer import index_folder
from hgan.serve import originals
from hgan.serve.app import create_app
from hgan.serve.settings import Settings
from tests.fixtures.photos import save_photo
from tests.serve.conftest import HERE, KEY, listening

pytest.importorskip("av")
from tests.fixtures.videos import COLOURS, HEIGHT, WIDTH, save_video


@pytest.fixture(scope="module")
def made(tmp_path_factory, bundle):
    """A folder with a photo and a video, and its index."""
    folder = tmp_path_factory.mktemp("videos") / "root"
    save_photo(folder / "a.png", (9, 99, 9))
    (folder / "2023").mkdir()
    save_video(folder / "2023/clip.mp4")
    index_folder(folder, folder.parent / "index", bundle)
    return folder


@pytest.fixture
def videos(made):
    """The folder, and a client of a service over it."""
    with TestClient(create_app(made.parent / "index"), base_url=HERE) as client:
        yield made, client


def frames(client: TestClient) -> dict[int, dict]:
    hits = client.post("/v1/search", json={"text": "red"}).json()["hits"]
    return {hit["frame"]: hit for hit in hits if hit["moment"] is not None}


def colour(data: bytes) -> tuple[int, ...]:
    photo = Image.open(io.BytesIO(data)).convert("RGB")
    return photo.getpixel((photo.width // 2, photo.height // 2))


def test_hits_and_items_have_the_path_of_the_video_and_the_time(videos):
    _, client = videos
    found = frames(client)
    assert found.keys() == {1, 2, 3}
    for number, hit in found.items():
        assert hit["path"] == "2023/clip.mp4"
        assert hit["moment"] == pytest.approx(number - 0.5, abs=0.1)
        item = client.get(f"/v1/items/{hit['id']}").json()
        assert (item["path"], item["moment"], item["frame"]) == (hit["path"], hit["moment"], number)
    listed = client.get("/v1/items").json()["items"]
    assert sorted(one["frame"] or 0 for one in listed) == [0, 1, 2, 3]
    for path, number in (("2023/clip.mp4", 2), ("2023/clip.mp4#3", 3)):
        assert client.post("/v1/lookup", json={"path": path}).json()["id"] == found[number]["id"]


def test_pictures_are_those_of_the_frame(videos):
    _, client = videos
    for number, hit in frames(client).items():
        photo = client.get(f"/v1/items/{hit['id']}/photo")
        small = client.get(f"/v1/items/{hit['id']}/thumbnail?size=128")
        assert {photo.headers["content-type"], small.headers["content-type"]} == {"image/jpeg"}
        assert Image.open(io.BytesIO(photo.content)).size == (WIDTH, HEIGHT)
        for data in (photo.content, small.content):
            near = zip(colour(data), COLOURS[number - 1], strict=True)
            assert max(abs(one - other) for one, other in near) < 40
        tag = {"If-None-Match": small.headers["etag"]}
        again = client.get(f"/v1/items/{hit['id']}/thumbnail?size=128", headers=tag)
        assert again.status_code == 304
    assert len({hit["id"] for hit in frames(client).values()}) == 3


def test_one_hit_for_a_video_when_folded(videos):
    _, client = videos
    hits = client.post("/v1/search", json={"text": "red", "fold": True}).json()["hits"]
    assert [hit["path"] for hit in hits].count("2023/clip.mp4") == 1
    assert all("2023/clip.mp4" not in hit["duplicates"] for hit in hits)


def test_explanations_and_similar_ones(videos):
    _, client = videos
    hit = frames(client)[1]
    explained = client.post("/v1/explain", json={"id": hit["id"], "text": "red"}).json()
    assert explained["score"] == pytest.approx(hit["score"], abs=0.01)
    like = client.post("/v1/search", json={"like": hit["id"]}).json()["hits"]
    assert hit["id"] not in {one["id"] for one in like} and len(like) == 3


def test_a_download_has_the_frames_and_not_the_video(videos):
    _, client = videos
    ids = [hit["id"] for hit in frames(client).values()]
    answer = client.post("/v1/download", json={"ids": ids})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as made:
        names = ["clip at 0-00.jpg", "clip at 0-01.jpg", "clip at 0-02.jpg"]
        assert sorted(made.namelist()) == names
        for name in names:
            assert Image.open(io.BytesIO(made.read(name))).size == (WIDTH, HEIGHT)


def test_a_link_out_of_the_folder_is_not_followed(videos, tmp_path):
    folder, client = videos
    hit, clip = frames(client)[1], folder / "2023/clip.mp4"
    kept = clip.rename(tmp_path / "clip.mp4")
    try:
        clip.symlink_to(kept)
        for kind in ("photo", "thumbnail"):
            assert client.get(f"/v1/items/{hit['id']}/{kind}").status_code == 404
    finally:
        clip.unlink()
        kept.rename(clip)


def test_the_video_itself_in_parts(videos):
    folder, client = videos
    data = (folder / "2023/clip.mp4").read_bytes()
    for hit in frames(client).values():
        answer = client.get(f"/v1/items/{hit['id']}/video")
        assert (answer.status_code, answer.content) == (200, data)
        assert answer.headers["content-type"] == "video/mp4"
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
    for asked, first, last in (("0-99", 0, 99), ("500-", 500, len(data) - 1), ("-7", -7, -1)):
        part = client.get(f"/v1/items/{hit['id']}/video", headers={"range": f"bytes={asked}"})
        first, last = first % len(data), last % len(data)
        assert (part.status_code, part.content) == (206, data[first : last + 1])
        assert part.headers["content-range"] == f"bytes {first}-{last}/{len(data)}"
    beyond = {"range": f"bytes={len(data)}-"}
    assert client.get(f"/v1/items/{hit['id']}/video", headers=beyond).status_code == 416


def test_a_photo_is_no_video(videos):
    _, client = videos
    key = client.post("/v1/lookup", json={"path": "a.png"}).json()["id"]
    answer = client.get(f"/v1/items/{key}/video")
    assert answer.status_code == 404 and "a photo, not a frame" in answer.json()["detail"]
    none = "00000000-0000-0000-0000-000000000000"
    assert client.get(f"/v1/items/{none}/video").status_code == 404
    assert client.get("/v1/items/..%2Fclip.mp4/video").status_code in (404, 422)


def test_the_video_needs_a_key_as_photos_do(made):
    app = create_app(made.parent / "index", Settings(keys=(KEY,), require_key=True))
    with TestClient(app, base_url=HERE) as client:
        known = {"x-api-key": KEY}
        key = client.post("/v1/lookup", json={"path": "2023/clip.mp4"}, headers=known).json()["id"]
        for kind in ("photo", "video"):
            assert client.get(f"/v1/items/{key}/{kind}").status_code == 401
            assert client.get(f"/v1/items/{key}/{kind}", headers=known).status_code == 200


def test_seeking_is_no_reason_for_the_rate_to_end(made):
    with TestClient(create_app(made.parent / "index", Settings(rate=1)), base_url=HERE) as client:
        key = client.post("/v1/lookup", json={"path": "2023/clip.mp4"}).json()["id"]
        part = {"range": "bytes=9-99"}
        asked = [client.get(f"/v1/items/{key}/video", headers=part) for _ in range(30)]
        assert {answer.status_code for answer in asked} == {206}


def text_file(clip: Path, _outside: Path) -> None:
    clip.write_text("<script>alert(1)</script>")


def link_out(clip: Path, outside: Path) -> None:
    clip.symlink_to(outside)


def folder_of_its_name(clip: Path, _outside: Path) -> None:
    clip.mkdir()


def pipe(clip: Path, _outside: Path) -> None:
    os.mkfifo(clip)


def nothing(_clip: Path, _outside: Path) -> None:
    """It is gone."""


@pytest.mark.parametrize("trap", [text_file, link_out, folder_of_its_name, pipe, nothing])
def test_a_file_in_the_place_of_the_video(own, tmp_path, trap):
    folder, client = own
    key = client.post("/v1/lookup", json={"path": "clip.mp4"}).json()["id"]
    outside = (folder / "clip.mp4").rename(tmp_path / "outside.mp4")
    trap(folder / "clip.mp4", outside)
    answer = client.get(f"/v1/items/{key}/video")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "clip.mp4: the video can no longer be read"


def test_a_video_replaced_by_a_link_after_it_was_opened(own, tmp_path, monkeypatch):
    """Everything that is sent is of the file that was checked."""
    folder, client = own
    clip, before = folder / "clip.mp4", (folder / "clip.mp4").read_bytes()
    key = client.post("/v1/lookup", json={"path": "clip.mp4"}).json()["id"]
    (tmp_path / "secret").write_text("secret")
    opened = originals.open_inside

    def swap(root, inner, most):
        found = opened(root, inner, most)
        clip.unlink()
        clip.symlink_to(tmp_path / "secret")
        return found

    monkeypatch.setattr(originals, "open_inside", swap)
    assert client.get(f"/v1/items/{key}/video").content == before


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_videos_that_were_sent_are_closed(videos):
    _, client = videos
    key = frames(client)[1]["id"]
    client.get(f"/v1/items/{key}/video")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for asked in ({}, {"range": "bytes=0-3"}, {"range": "bytes=9999999-"}, {"range": "none"}):
        client.get(f"/v1/items/{key}/video", headers=asked)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.fixture
def own(tmp_path, bundle):
    """A folder with a photo and two videos that the test may change, and a client with a key."""
    folder = tmp_path / "root"
    save_photo(folder / "a.png", (9, 99, 9))
    for name in ("clip.mp4", "other.mp4"):
        save_video(folder / name)
    index_folder(folder, tmp_path / "index", bundle)
    app = create_app(tmp_path / "index", Settings(keys=(KEY,)))
    with TestClient(app, base_url=HERE, headers={"x-api-key": KEY}) as client:
        yield folder, client


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mp4#1", "clip.mp4#3"])
def test_a_video_is_removed_as_a_whole(own, bundle, name):
    folder, client = own
    key = client.post("/v1/lookup", json={"path": name}).json()["id"]
    assert client.delete(f"/v1/items/{key}").status_code == 204
    listed = [item["path"] for item in client.get("/v1/items").json()["items"]]
    assert sorted(listed) == ["a.png", *["other.mp4"] * 3]
    assert client.delete(f"/v1/items/{key}").status_code == 404
    watcher = client.app.state.service.library.watcher()
    assert watcher.look().added == 0
    client.__exit__(None, None, None)
    assert (folder / "clip.mp4").is_file()
    report = index_folder(folder, folder.parent / "index", bundle)
    assert (report.added, report.unchanged) == (3, 4)


def test_the_python_client_removes_a_video(own):
    with listening(own[1].app) as address, Client(address, key=KEY) as service:
        service.remove("clip.mp4#3")
        service.remove("other.mp4")
        assert [one.path for one in service.browse()] == [Path("a.png")]


def test_the_python_client(made):
    with listening(create_app(made.parent / "index")) as address, Client(address) as service:
        hits = [hit for hit in service.search("red") if hit.frame]
        assert {hit.frame: hit.moment for hit in hits} == pytest.approx(
            {1: 0.5, 2: 1.5, 3: 2.5}, abs=0.1
        )
        assert {hit.path for hit in hits} == {Path("2023/clip.mp4")}
        assert service.id_of("2023/clip.mp4#1") == next(one.id for one in hits if one.frame == 1)
        assert {one.frame for one in service.browse()} == {None, 1, 2, 3}
