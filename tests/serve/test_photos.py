"""Photos over HTTP: by id alone, never from outside the folder, and cached."""

import io
import struct
import zlib

import pytest
from PIL import Image

from hgan.index.store import Entry
from hgan.search.indexer import index_folder
from tests.search.made import save_photo


def key(path: str) -> str:
    return Entry(path, 0, 0, "").id


def test_an_item(client, photos):
    answer = client.get(f"/v1/items/{key('red/red 1.png')}")
    assert answer.status_code == 200
    assert answer.json() == {
        "id": key("red/red 1.png"),
        "path": "red/red 1.png",
        "bytes": (photos / "red/red 1.png").stat().st_size,
        "taken": None,
        "camera": "",
        "tags": [],
    }


def test_what_a_photo_says_of_itself(photos, serve, tmp_path, bundle):
    picture = Image.new("RGB", (40, 30), (9, 9, 9))
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "Canon EOS 5D"
    exif.get_ifd(0x8769)[0x9003] = "2023:06:30 12:30:01"
    picture.save(photos / "camera.jpg", exif=exif)
    index_folder(photos, tmp_path / "index", bundle)
    client = serve()
    said = client.get(f"/v1/items/{key('camera.jpg')}").json()
    assert (said["taken"], said["camera"]) == ("2023-06-30T12:30:01", "Canon EOS 5D")
    small = Image.open(io.BytesIO(client.get(f"/v1/items/{key('camera.jpg')}/thumbnail").content))
    assert not small.getexif()


def test_thumbnails_are_small_and_cached(photos, tmp_path, bundle, serve):
    save_photo(photos / "wide.png", (200, 10, 10))
    Image.open(photos / "wide.png").resize((1200, 600)).save(photos / "wide.png")
    index_folder(photos, tmp_path / "index", bundle)
    client = serve()
    place = f"/v1/items/{key('wide.png')}/thumbnail"
    for size in (128, 256, 512):
        answer = client.get(place, params={"size": size})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(answer.content)).size == (size, size // 2)
    tag = answer.headers["etag"]
    assert "max-age" in answer.headers["cache-control"]
    again = client.get(place, params={"size": 512}, headers={"if-none-match": f'"x", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    save_photo(photos / "wide.png", (10, 10, 200))
    changed = client.get(place, params={"size": 512}, headers={"if-none-match": tag})
    assert changed.status_code == 200
    red, _, blue = Image.open(io.BytesIO(changed.content)).getpixel((5, 5))
    assert blue > red
    assert client.get(place, params={"size": 100}).status_code == 422


def test_the_file_itself(client, photos):
    answer = client.get(f"/v1/items/{key('green 0.png')}/photo")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content == (photos / "green 0.png").read_bytes()
    part = client.get(f"/v1/items/{key('green 0.png')}/photo", headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"\x89PNG")


def test_the_type_is_that_of_the_content(photos, tmp_path, bundle, serve):
    Image.new("RGB", (20, 20), (1, 2, 3)).save(photos / "liar.png", "JPEG")
    index_folder(photos, tmp_path / "index", bundle)
    answer = serve().get(f"/v1/items/{key('liar.png')}/photo")
    assert answer.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize("what", ["photo", "thumbnail", "explain"])
@pytest.mark.parametrize("trap", ["link", "folder link", "gone", "text", "folder", "loop"])
def test_what_is_no_photo_of_the_folder_any_more(client, photos, tmp_path, trap, what):
    place = photos / "red/red 1.png"
    outside = save_photo(tmp_path / "outside/red 1.png", (1, 2, 3))
    place.unlink()
    if trap == "link":
        place.symlink_to(outside)
    elif trap == "folder link":
        (photos / "red").rename(tmp_path / "away")
        (photos / "red").symlink_to(tmp_path / "outside")
    elif trap == "text":
        place.write_text("<script>alert(1)</script>")
    elif trap == "folder":
        place.mkdir()
    elif trap == "loop":
        place.symlink_to(place)
    if what == "explain":
        answer = client.post("/v1/explain", json={"id": key("red/red 1.png"), "text": "red"})
    else:
        answer = client.get(f"/v1/items/{key('red/red 1.png')}/{what}")
    assert answer.status_code == 404
    assert str(tmp_path) not in answer.text


def test_a_link_within_the_folder_is_followed(client, photos):
    (photos / "red/red 1.png").unlink()
    (photos / "red/red 1.png").symlink_to(photos / "blue 0.png")
    answer = client.get(f"/v1/items/{key('red/red 1.png')}/photo")
    assert answer.content == (photos / "blue 0.png").read_bytes()


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
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe-3.0 EPSF-3.0", bomb()],
    ids=["empty", "cut", "svg", "eps", "bomb"],
)  # fmt: skip
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
    [({}, None), ({"photo": "text"}, None), ({"k": "0"}, {"photo": b"x"}), ({"x": "1"}, {"photo": b"x"})],
)  # fmt: skip
def test_forms_that_are_none(client, form, files):
    answer = client.post("/v1/search/photo", data=form, files=files)
    assert answer.status_code == 422
    broken = {"content-type": "multipart/form-data; boundary=x"}
    for body in (b"--x\r\n", b"--x\r\nnonsense", b"", b"--y--"):
        answer = client.post("/v1/search/photo", content=body, headers=broken)
        assert answer.status_code in (400, 422), body
