"""Several photos as one archive: complete, bounded, and nothing from outside the folder."""

import io
import os
import zipfile
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from hgan.index.indexer import index_folder
from hgan.index.store.contract import Entry
from hgan.serve import downloads
from hgan.serve.app import create_app
from hgan.serve.downloads import LEFT_OUT, MOST_PHOTOS, names_of
from tests.fixtures.photos import save_photo
from tests.serve.conftest import HERE, public_id

NAMES = ["a/one.png", "b/ONE.png", "b/two.png", "c/back\\slash.png", f"{LEFT_OUT}/x.png"]


@pytest.fixture
def own(tmp_path, bundle):
    """A folder that the test may change, and a client of a service over it."""
    folder = tmp_path / "own"
    for seed, name in enumerate(NAMES):
        save_photo(folder / name, (10, 99, 99), seed=seed)
    index_folder(folder, tmp_path / "own.index", bundle)
    with TestClient(create_app(tmp_path / "own.index"), base_url=HERE) as client:
        yield folder, client


def asked(client: TestClient, names: list[str]) -> dict[str, list[str]]:
    return {"ids": [public_id(client.app, name) for name in names]}


def opened(answer) -> dict[str, bytes]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as made:
        assert made.testzip() is None
        assert len(set(made.namelist())) == len(made.namelist())
        return {name: made.read(name) for name in made.namelist()}


def test_the_files_themselves_under_safe_names(own):
    folder, client = own
    found = opened(client.post("/v1/download", json=asked(client, NAMES + NAMES[:1])))
    expected = ["one.png", "ONE (2).png", "two.png", "back_slash.png", "x.png"]
    assert list(found) == expected
    assert list(found.values()) == [(folder / name).read_bytes() for name in NAMES]


def test_what_cannot_be_read_is_left_out_and_listed(own, tmp_path):
    folder, client = own
    secret = tmp_path / "secret.png"
    secret.write_bytes((folder / NAMES[0]).read_bytes())
    (folder / NAMES[0]).unlink()
    (folder / NAMES[0]).symlink_to(secret)
    (folder / NAMES[1]).unlink()
    os.mkfifo(folder / NAMES[1])
    (folder / NAMES[3]).unlink()
    found = opened(client.post("/v1/download", json=asked(client, NAMES[:4])))
    assert list(found) == ["two.png", LEFT_OUT]
    assert found[LEFT_OUT].decode().splitlines()[1:] == [NAMES[0], NAMES[1], NAMES[3]]


def test_ids_that_are_none_and_limits(own, monkeypatch):
    folder, client = own
    known = asked(client, NAMES)["ids"]
    for ids, status in (
        ([], 422),
        (["../../etc/passwd"], 422),
        ([*known, str(uuid4())], 404),
        ([str(uuid4()) for _ in range(MOST_PHOTOS + 1)], 422),
        ("everything", 422),
    ):
        assert client.post("/v1/download", json={"ids": ids}).status_code == status
    assert client.post("/v1/download", json={"ids": known, "path": "/"}).status_code == 422
    sizes = [(folder / name).stat().st_size for name in NAMES]
    monkeypatch.setattr(downloads, "LARGEST", sum(sizes) - 1)
    answer = client.post("/v1/download", json={"ids": known})
    assert (answer.status_code, "fewer" in answer.json()["detail"]) == (413, True)
    # A file that has grown since it was indexed does not make the archive larger than that.
    (folder / NAMES[0]).write_bytes((folder / NAMES[0]).read_bytes() + bytes(sum(sizes)))
    found = opened(client.post("/v1/download", json={"ids": known[:2]}))
    assert list(found) == ["ONE (2).png", LEFT_OUT]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/..\\..\\evil.jpg", ".._.._evil.jpg"),
        ("C:evil.jpg", "C_evil.jpg"),
        ("line\nbreak.jpg", "line_break.jpg"),
        ("\udcff.jpg", "_.jpg"),
        (LEFT_OUT, "Left out (2).txt"),
    ],
)
def test_no_name_is_a_path(path, name):
    assert names_of([Entry(path, 1, 1, "")]) == [name]


def test_times_that_a_zip_archive_cannot_have():
    for mtime in (0, -(10**18), 10**19):
        info = downloads._info("a", mtime)
        assert 1980 <= info.date_time[0] <= 2107
