"""Photos over HTTP: by id only, never from outside the folder, and cached."""

import io
import os
import struct
import zlib
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from hgan.index.indexer import index_folder
from hgan.runtime.photo_file import LARGEST_PHOTO
from hgan.serve import originals
from hgan.serve.app import create_app
from tests.fixtures.photos import save_photo
from tests.serve.conftest import HERE, public_id


def test_an_item(client, photos):
    answer = client.get(f"/v1/items/{public_id(client.app, 'red/red 1.png')}")
    assert answer.status_code == 200
    status = (photos / "red/red 1.png").stat()
    assert answer.json() == {
        "id": public_id(client.app, "red/red 1.png"),
        "path": "red/red 1.png",
        "bytes": status.st_size,
        "taken": datetime.fromtimestamp(status.st_mtime).replace(microsecond=0).isoformat(),
        "file_time": True,
        "camera": "",
        "tags": [],
        "rating": None,
        "people": [],
        "city": "",
        "country": "",
        "width": 96,
        "height": 72,
        "moment": None,
        "frame": None,
    }


def test_the_file_itself(client, photos):
    answer = client.get(f"/v1/items/{public_id(client.app, 'green 0.png')}/photo")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content == (photos / "green 0.png").read_bytes()
    place = f"/v1/items/{public_id(client.app, 'green 0.png')}/photo"
    part = client.get(place, headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"\x89PNG")


@pytest.fixture
def own(tmp_path, bundle):
    """A folder that the test may change, and a client of a service over it."""
    folder = tmp_path / "own"
    for name in ("inside", *TRAPS):
        save_photo(folder / f"{name}/photo.png", (200, 10, 10), seed=len(name))
    picture = Image.new("RGB", (1200, 600), (200, 10, 10))
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "Canon EOS 5D"
    exif.get_ifd(0x8769)[0x9003] = "2023:06:30 12:30:01"
    picture.save(folder / "liar.png", "JPEG", exif=exif)
    index_folder(folder, tmp_path / "own.index", bundle)
    with TestClient(create_app(tmp_path / "own.index"), base_url=HERE) as client:
        yield folder, client


TRAPS = ("link", "folder link", "gone", "text", "folder", "loop", "pipe", "huge")


def test_photos_that_lie_and_change(own, tmp_path):
    folder, client = own
    place = f"/v1/items/{public_id(client.app, 'liar.png')}"
    said = client.get(place).json()
    assert (said["taken"], said["camera"]) == ("2023-06-30T12:30:01", "Canon EOS 5D")
    # The type is that of the content, not of the name.
    assert client.get(f"{place}/photo").headers["content-type"] == "image/jpeg"
    for size in (128, 256, 512):
        answer = client.get(f"{place}/thumbnail", params={"size": size})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/jpeg"
        small = Image.open(io.BytesIO(answer.content))
        assert small.size == (size, size // 2)
        assert not small.getexif()
    tag = answer.headers["etag"]
    assert "max-age" in answer.headers["cache-control"]
    known, large = {"if-none-match": f'"x", {tag}'}, {"size": 512}
    again = client.get(f"{place}/thumbnail", params=large, headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    save_photo(folder / "liar.png", (10, 10, 200))
    changed = client.get(f"{place}/thumbnail", params=large, headers=known)
    assert changed.status_code == 200
    red, _, blue = Image.open(io.BytesIO(changed.content)).getpixel((5, 5))
    assert blue > red
    assert client.get(f"{place}/thumbnail", params={"size": 100}).status_code == 422

    outside = save_photo(tmp_path / "outside/photo.png", (1, 2, 3))
    for trap in TRAPS:
        (folder / trap / "photo.png").unlink()
    (folder / "link/photo.png").symlink_to(outside)
    (folder / "folder link").rmdir()
    (folder / "folder link").symlink_to(tmp_path / "outside")
    (folder / "text/photo.png").write_text("<script>alert(1)</script>")
    (folder / "folder/photo.png").mkdir()
    (folder / "loop/photo.png").symlink_to(folder / "loop/photo.png")
    os.mkfifo(folder / "pipe/photo.png")
    with (folder / "huge/photo.png").open("wb") as file:
        file.truncate(LARGEST_PHOTO + 1)
    for trap in TRAPS:
        name = public_id(client.app, f"{trap}/photo.png")
        for answer in (
            client.get(f"/v1/items/{name}/photo"),
            client.get(f"/v1/items/{name}/thumbnail"),
            client.post("/v1/explain", json={"id": name, "text": "red"}),
        ):
            assert answer.status_code == 404, trap
            assert str(tmp_path) not in answer.text

    # A link that stays in the folder is fine.
    (folder / "gone/photo.png").symlink_to(folder / "inside/photo.png")
    answer = client.get(f"/v1/items/{public_id(client.app, 'gone/photo.png')}/photo")
    assert answer.content == (folder / "inside/photo.png").read_bytes()


@pytest.mark.parametrize("what", ["photo", "thumbnail"])
def test_a_file_replaced_by_a_link_after_it_was_opened(own, tmp_path, monkeypatch, what):
    """Everything that is sent is of the file that was checked."""
    folder, client = own
    outside = save_photo(tmp_path / "outside/photo.png", (10, 10, 200), seed=7)
    photo = folder / "inside/photo.png"
    before = photo.read_bytes()
    opened = originals.open_inside

    def swap(root, inner):
        found = opened(root, inner)
        photo.unlink()
        photo.symlink_to(outside)
        return found

    place = f"/v1/items/{public_id(client.app, 'inside/photo.png')}/{what}"
    with monkeypatch.context() as patch:
        patch.setattr(originals, "open_inside", swap)
        answer = client.get(place)
        assert answer.status_code == 200
        if what == "photo":
            assert answer.content == before
        else:
            red, _, blue = Image.open(io.BytesIO(answer.content)).getpixel((5, 5))
            assert red > blue
    assert client.get(place).status_code == 404


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_files_that_were_sent_are_closed(client):
    place = f"/v1/items/{public_id(client.app, 'green 0.png')}/photo"
    client.get(place)
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for headers in ({}, {"range": "bytes=0-3"}, {"range": "bytes=9999999-"}, {"range": "none"}):
        for _ in range(5):
            client.get(place, headers=headers)
    assert len(list(descriptors.iterdir())) == before


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..%2F..%2Fetc%2Fpasswd", "%2e%2e/%2e%2e", "red%2Fred 1.png", "%00", "-",
     "red 0.png", "00000000-0000-0000-0000-000000000000", "\u0661" * 8, "x" * 5000],
)  # fmt: skip
@pytest.mark.parametrize("what", ["", "/photo", "/thumbnail"])
def test_names_that_are_no_ids(client, name, what):
    answer = client.get(f"/v1/items/{name}{what}")
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "root:" not in answer.text


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 3.6 billion pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100_000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        bomb(),
    ],
    ids=["empty", "cut", "svg", "eps", "bomb"],
)
def test_uploads_that_are_no_photos(client, data):
    files = {"photo": ("photo.jpg", data, "image/jpeg")}
    answer = client.post("/v1/search/photo", files=files)
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_name_and_type_of_an_upload_do_not_count(client, photos):
    data = (photos / "red 0.png").read_bytes()
    files = {"photo": ("../../evil.html", data, "text/html")}
    answer = client.post("/v1/search/photo", files=files)
    assert answer.json()["hits"][0]["path"] == "red 0.png"


@pytest.mark.parametrize(
    ("form", "files"),
    [
        ({}, None),
        ({"photo": "text"}, None),
        ({"k": "0"}, {"photo": b"x"}),
        ({"x": "1"}, {"photo": b"x"}),
    ],
)
def test_forms_that_are_none(client, form, files):
    answer = client.post("/v1/search/photo", data=form, files=files)
    assert answer.status_code == 422
    broken = {"content-type": "multipart/form-data; boundary=x"}
    for body in (b"--x\r\n", b"--x\r\nnonsense", b"", b"--y--"):
        answer = client.post("/v1/search/photo", content=body, headers=broken)
        assert answer.status_code in (400, 422), body
