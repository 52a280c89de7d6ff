"""Photos in an object store with S3's interface, and in fsspec's memory file system."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import fsspec
import pytest
from PIL import ExifTags, Image
from s3fs import S3FileSystem

from hgan.cli import main
from hgan.errors import ConfigError, DataError, HganError, SourceError
from hgan.index.estimate import estimate
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.store.open import open_store, read_manifest
from hgan.render.contact_sheet import contact_sheet
from hgan.runtime.bundle import Bundle
from hgan.runtime.images import open_photo
from hgan.runtime.metadata.read import read_metadata
from hgan.search.query import Query
from hgan.search.searcher import open_index
from hgan.sources import object_store
from hgan.sources.folder import FolderSource
from hgan.sources.object_store import ObjectStoreSource
from hgan.sources.open import content_of, open_source, place_of
from hgan.sources.types import Address, Listing, Photo

PLACE = "s3://bucket/photos"
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server with S3's interface, in a process of its own."""
    command = [sys.executable, "-c", SERVER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None and server.stdin is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, endpoint: str, tmp_path: Path) -> None:
    """What a user of the store has in the environment, and nothing of this machine's user."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    S3FileSystem.clear_instance_cache()


@pytest.fixture
def s3(keys: None, photos: Path) -> Iterator[object]:
    """The bucket with the photos of the folder."""
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="bucket")
    for path in photos.rglob("*.png"):
        name = path.relative_to(photos).as_posix()
        client.put_object(Bucket="bucket", Key=f"photos/{name}", Body=path.read_bytes())
    yield client
    while found := client.list_objects_v2(Bucket="bucket").get("Contents"):
        keys = [{"Key": each["Key"]} for each in found]
        client.delete_objects(Bucket="bucket", Delete={"Objects": keys})
    client.delete_bucket(Bucket="bucket")


@pytest.fixture
def memory(photos: Path) -> Iterator[Callable[[str, bytes], None]]:
    """The photos at memory://photos, and a way to put more there."""
    files = fsspec.filesystem("memory")
    for path in photos.rglob("*.png"):
        files.pipe_file(f"/photos/{path.relative_to(photos).as_posix()}", path.read_bytes())
    yield lambda name, data: files.pipe_file(f"/photos/{name}", data)
    files.rm("/", recursive=True)


def png(colour: str = "red", **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (80, 64), colour).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.slow
def test_index_of_a_bucket_is_that_of_a_folder(s3, photos, tmp_path, bundle) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    assert index_folder(PLACE, there, bundle) == index_folder(photos, here, bundle)
    assert read_manifest(there).root == PLACE
    with open_index(there, bundle) as remote, open_index(here, bundle) as local:
        for text in ("a red photo", "two blue dogs"):
            found, expected = remote.search(text, 12), local.search(text, 12)
            assert [(h.id, h.score) for h in found] == [(h.id, h.score) for h in expected]
            for hit, other in zip(found, expected, strict=True):
                inside = other.path.relative_to(photos)
                assert str(hit.path) == f"{PLACE}/{inside.as_posix()}"
                assert hit.path.relative_to(remote.root) == inside
                assert hit.path.name == inside.name
                assert content_of(hit.path) == Path(other.path).read_bytes()
        like = f"{PLACE}/red/red 1.png"
        assert {h.path.name[:3] for h in remote.search_image(content_of(Address(like)), 4)} == {
            "red"
        }
        assert len(remote.find(Query(like=like), 3)) == 3


def test_counts_of_every_kind(s3, tmp_path, bundle, monkeypatch) -> None:
    to = tmp_path / "index"
    assert index_folder(PLACE, to, bundle) == IndexReport(added=12)
    with monkeypatch.context() as patch:
        patch.setattr(ObjectStoreSource, "read", None)  # nothing is read again
        assert index_folder(PLACE, to, bundle) == IndexReport(unchanged=12)
    s3.put_object(Bucket="bucket", Key="photos/new.jpg", Body=png())
    s3.put_object(Bucket="bucket", Key="photos/red 0.png", Body=png("green"))
    s3.delete_object(Bucket="bucket", Key="photos/blue/blue 2.png")
    report = index_folder(PLACE, to, bundle)
    assert report == IndexReport(added=1, updated=1, removed=1, unchanged=10)
    for comment in ("one", "two"):  # of the same size, within the same second
        s3.put_object(Bucket="bucket", Key="photos/new.jpg", Body=png(comment=comment))
        assert index_folder(PLACE, to, bundle) == IndexReport(updated=1, unchanged=11)


def test_keys_that_no_folder_could_hold_and_other_prefixes(s3, tmp_path, bundle) -> None:
    for key in (
        "photos/../secret.jpg",
        "photos/./a.jpg",
        "photos//double.jpg",
        "photos2/other.jpg",
        "outside.jpg",
        "photos/.hidden/a.jpg",
        "photos/.hidden.jpg",
    ):
        s3.put_object(Bucket="bucket", Key=key, Body=png())
    s3.put_object(Bucket="bucket", Key="photos/folder/", Body=b"")  # as consoles make them
    s3.put_object(Bucket="bucket", Key="photos/empty.jpg", Body=b"")
    s3.put_object(Bucket="bucket", Key="photos/text.jpg", Body=b"no photo")
    s3.put_object(Bucket="bucket", Key="photos/notes.txt", Body=b"no photo")
    report = index_folder(PLACE, tmp_path / "index", bundle)
    assert report.added == 12
    assert report.skipped == {
        "empty.jpg": "empty",
        "text.jpg": "text.jpg: not a photo in a supported format",
    }


@pytest.mark.slow
def test_more_objects_than_a_page_of_the_listing(s3, bundle) -> None:
    for number in range(1100):
        s3.put_object(Bucket="bucket", Key=f"many/{number:04}.jpg", Body=b"x")
    listing = open_source("s3://bucket/many/").find()
    paths = [photo.path for photo in listing.photos]
    assert paths == [f"{number:04}.jpg" for number in range(1100)]
    assert listing.unread == ()


def test_object_that_goes_between_listing_and_reading(s3, tmp_path, bundle, monkeypatch) -> None:
    find = ObjectStoreSource.find

    def then_delete(self: ObjectStoreSource) -> Listing:
        found = find(self)
        s3.delete_object(Bucket="bucket", Key="photos/red/red 1.png")
        s3.put_object(Bucket="bucket", Key="photos/red/red 2.png", Body=b"")
        return found

    monkeypatch.setattr(ObjectStoreSource, "find", then_delete)
    report = index_folder(PLACE, tmp_path / "index", bundle)
    assert report.added == 10
    assert report.skipped["red/red 1.png"] == f"{PLACE}/red/red 1.png: no longer exists"
    assert "cannot be read" in report.skipped["red/red 2.png"]


@pytest.mark.parametrize(
    ("place", "fix"),
    [
        ("s3://no-such-bucket/photos", "not found"),
        ("s3://bucket/no-such-prefix", "not found"),
        ("s3://bucket/photos/red 0.png", "no photos here"),
        ("s3://bucket/photos/../photos", "not found"),
    ],
)
def test_places_that_are_not_there(s3, tmp_path, bundle, place, fix) -> None:
    with pytest.raises(HganError, match=fix) as caught:
        index_folder(place, tmp_path / "index", bundle)
    assert place in str(caught.value)
    assert not (tmp_path / "index").exists()


def test_nobody_without_a_key(s3, tmp_path, bundle, monkeypatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(SourceError, match=r"\$AWS_ACCESS_KEY_ID"):
        index_folder(PLACE, tmp_path / "index", bundle)


@pytest.mark.slow
def test_store_that_is_away(keys, tmp_path, bundle, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(SourceError, match="cannot be reached"):
        index_folder(PLACE, tmp_path / "index", bundle)


def test_store_that_goes_away_ends_the_run_and_drops_nothing(
    s3, tmp_path, bundle, monkeypatch
) -> None:
    to = tmp_path / "index"
    assert index_folder(PLACE, to, bundle).added == 12
    for name in ("red 0.png", "green 0.png"):
        s3.put_object(Bucket="bucket", Key=f"photos/{name}", Body=png("white", comment=name))

    async def away(*_: object, **__: object) -> bytes:
        raise ConnectionError("cable pulled")

    with monkeypatch.context() as patch:
        patch.setattr(S3FileSystem, "_cat_file", away)
        S3FileSystem.clear_instance_cache()
        with pytest.raises(SourceError, match=r"cable pulled.*run the command again"):
            index_folder(PLACE, to, bundle)
    S3FileSystem.clear_instance_cache()
    with open_index(to, bundle) as index:
        assert len(index) == 12
    assert index_folder(PLACE, to, bundle) == IndexReport(updated=2, unchanged=10)


def test_by_command(s3, tmp_path, bundle, capsys) -> None:
    to = str(tmp_path / "index")
    assert main(["index", PLACE, "--to", to, "--bundle", str(bundle.folder)]) == 0
    assert capsys.readouterr().out.startswith("12 added")
    assert main(["search", "blue", "--index", to, "-k", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["path"].startswith(f"{PLACE}/blue")
    assert main(["index", PLACE, "--bundle", str(bundle.folder), "--estimate"]) == 0
    assert capsys.readouterr().out.startswith("photos              12")


# What follows needs no server.


def test_what_photos_say(memory, tmp_path, bundle) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Pixel 9"
    memory("says.jpg", png(exif=exif))
    to = tmp_path / "index"
    assert index_folder("memory://photos", to, bundle).added == 13
    with open_store(to, read_manifest(to)) as store:
        [entry] = [entry for entry in store.entries() if entry.path == "says.jpg"]
    assert entry.camera == "Pixel 9"
    assert read_metadata(png(exif=exif)).camera == "Pixel 9"


def test_twins_large_objects_and_estimate(memory, tmp_path, bundle, monkeypatch) -> None:
    to = tmp_path / "index"
    index_folder("memory://photos/", to, bundle)
    files = fsspec.filesystem("memory")
    memory("copy.png", files.cat_file("/photos/red 0.png"))
    with monkeypatch.context() as patch:
        patch.setattr(Bundle, "encode_images", None)  # the bytes are known
        assert index_folder("memory://photos", to, bundle) == IndexReport(added=1, unchanged=12)
    monkeypatch.setattr(object_store, "LARGEST_PHOTO", 5000)
    memory("large.jpg", bytes(5001))
    report = index_folder("memory://photos", to, bundle)
    assert "larger than" in report.skipped["large.jpg"]
    with pytest.raises(DataError, match="larger than"):  # grown since it was listed
        open_source("memory://photos").read(Photo("large.jpg", 100, 0))
    assert estimate("memory://photos", bundle).photos == 13


def test_times_alone_tell_what_has_changed(memory, tmp_path, bundle, monkeypatch) -> None:
    to = tmp_path / "index"
    index_folder("memory://photos", to, bundle)
    assert index_folder("memory://photos", to, bundle) == IndexReport(unchanged=12)
    memory("red 0.png", png("green"))
    assert index_folder("memory://photos", to, bundle) == IndexReport(updated=1, unchanged=11)
    # A store without times and ETags: everything is read, nothing is encoded again.
    monkeypatch.setattr(object_store, "_TIME_FIELDS", ())
    monkeypatch.setattr(Bundle, "encode_images", None)
    assert index_folder("memory://photos", to, bundle) == IndexReport(unchanged=12)


def test_refusals_of_one_object_and_of_everybody(memory, tmp_path, bundle, monkeypatch) -> None:
    files = type(fsspec.filesystem("memory"))
    cat_file = files.cat_file

    class RefusalError(Exception):
        def __init__(self, code: str) -> None:
            self.response = {"Error": {"Code": code}}

    def refusing(code: str) -> Callable[..., bytes]:
        def refuse(self: object, path: str, **options: object) -> bytes:
            if path.endswith("red 0.png"):
                raise PermissionError("no") from RefusalError(code)
            return cat_file(self, path, **options)

        return refuse

    monkeypatch.setattr(files, "cat_file", refusing("AccessDenied"))
    report = index_folder("memory://photos", tmp_path / "index", bundle)
    assert (report.added, list(report.skipped)) == (11, ["red 0.png"])
    monkeypatch.setattr(files, "cat_file", refusing("ExpiredToken"))
    with pytest.raises(SourceError, match="access denied"):
        index_folder("memory://photos", tmp_path / "index", bundle)


def test_folder_that_may_not_be_listed(memory, tmp_path, bundle, monkeypatch) -> None:
    to = tmp_path / "index"
    index_folder("memory://photos", to, bundle)
    files = type(fsspec.filesystem("memory"))
    ls = files.ls

    def refusing(self: object, path: str, **options: object) -> object:
        if path.endswith("/red"):
            raise PermissionError("not yours")
        return ls(self, path, **options)

    monkeypatch.setattr(files, "ls", refusing)
    report = index_folder("memory://photos", to, bundle)
    assert (report.removed, report.unchanged) == (0, 9)
    assert report.skipped == {"red/": "the folder cannot be read (not yours)"}


def test_contact_sheet(memory, tmp_path, bundle) -> None:
    index_folder("memory://photos", tmp_path / "index", bundle)
    with open_index(tmp_path / "index", bundle) as index:
        hits = index.search("a red photo", 3)
    fsspec.filesystem("memory").rm(f"/photos/{hits[2].path.relative_to(index.root)}")
    contact_sheet(hits, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        red, gone = (sheet.convert("RGB").getpixel((140 + 260 * i, 140)) for i in (0, 2))
    assert red[0] > 180 > 90 > red[1]
    assert min(gone) > 100


@pytest.mark.parametrize(
    ("address", "fix"),
    [
        ("sftp://me:secret@host/photos", "must not contain a password"),
        ("https://example.org/photos", "download them first"),
        ("nosuch://photos", "not an address of photos"),
        ("gs://bucket/photos", "gcsfs|fsspec's documentation"),
        ("zip://photos::memory://a.zip", "chained addresses"),
    ],
)
def test_addresses_that_cannot_be(address, fix) -> None:
    with pytest.raises(ConfigError, match=fix) as caught:
        open_source(address)
    assert "secret" not in str(caught.value)


def test_folders_are_folders(photos: Path) -> None:
    for where in (photos, str(photos), f"file://{photos}"):
        source = open_source(where)
        assert isinstance(source, FolderSource) and source.root == photos
    assert isinstance(place_of("s3://bucket"), Address)
    assert not isinstance(place_of(str(photos)), Address)


def test_addresses_as_paths() -> None:
    photo = place_of("s3://bucket/2023") / "a: b/beach.jpg"
    assert str(photo) == f"{photo}" == photo.as_posix() == "s3://bucket/2023/a: b/beach.jpg"
    assert str(photo.relative_to(place_of("s3://bucket/2023"))) == "a: b/beach.jpg"
    assert str(place_of("s3://bucket") / "c:/d.jpg") == "s3://bucket/c:/d.jpg"
    assert (
        str((place_of("s3://bucket") / "c:/d.jpg").relative_to(place_of("s3://bucket")))
        == "c:/d.jpg"
    )
    assert photo == Address("s3://bucket/2023/a: b/beach.jpg")
    with pytest.raises(ValueError):
        photo.relative_to(place_of("s3://other"))


def test_bytes_are_called_by_their_name() -> None:
    with pytest.raises(DataError, match=r"^a/b\.jpg: not a photo"):
        open_photo(b"nothing", name="a/b.jpg")
