"""A service over several folders: searches, originals, uploads, names, and what is not served."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from hgan.cli.running import ServedIndex
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.open import read_manifest
from hgan.runtime.bundle import Bundle
from hgan.search.query import Query
from hgan.serve.app import create_app
from hgan.serve.settings import Settings
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.service_process import serving
from tests.serve.conftest import HERE, KEY

ALLOWED = {"x-api-key": KEY}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for number, (name, colour) in enumerate(COLOURS.items()):
        save_photo(tmp_path / f"Pictures/{name}.png", colour, number)
        save_photo(tmp_path / f"disk/Photos/2019/{name}.png", colour, 10 + number)
    return tmp_path / "Pictures", tmp_path / "disk/Photos"


@pytest.fixture
def to(folders: tuple[Path, Path], tmp_path: Path, bundle: Bundle) -> Path:
    index_folder(folders, tmp_path / "index", bundle)
    return tmp_path / "index"


@pytest.fixture
def owner(to: Path) -> Iterator[TestClient]:
    with TestClient(create_app(to, Settings(keys=(KEY,))), base_url=HERE) as opened:
        yield opened


def found(client: TestClient, **asked: object) -> list[dict[str, object]]:
    answer = client.post("/v1/search", json={"text": "a red photo", "k": 50, **asked})
    assert answer.status_code == 200, answer.text
    hits: list[dict[str, object]] = answer.json()["hits"]
    return hits


def upload(client: TestClient, path: str, photo: Path) -> int:
    files = {"photo": ("x.png", photo.read_bytes())}
    return client.post("/v1/items", data={"path": path}, files=files, headers=ALLOWED).status_code


def test_photos_of_all_folders_are_found_and_sent(owner, folders):
    first, second = folders
    hits = found(owner)
    assert {hit["path"] for hit in hits} == {
        *(f"{name}.png" for name in COLOURS),
        *(f"Photos/2019/{name}.png" for name in COLOURS),
    }
    for hit in hits:
        name = str(hit["path"])
        file = second / name.removeprefix("Photos/") if "/" in name else first / name
        assert owner.get(f"/v1/items/{hit['id']}/photo").content == file.read_bytes()
        assert owner.get(f"/v1/items/{hit['id']}/thumbnail").status_code == 200
    only = found(owner, where=["folder=Photos/2019"])
    assert {hit["path"] for hit in only} == {f"Photos/2019/{name}.png" for name in COLOURS}
    assert owner.get("/v1/status").json()["name"] == "Pictures, Photos"


def test_uploads_go_to_the_folder_that_the_path_names(owner, folders, to, bundle, tmp_path):
    first, second = folders
    photo = save_photo(tmp_path / "new.png", (200, 200, 9))
    (second / ".hganignore").write_text("drafts/\n")
    assert upload(owner, "Photos/2024/new.png", photo) == 201
    assert upload(owner, "2024/new.png", photo) == 201
    assert upload(owner, "Photos/drafts/new.png", photo) == 422
    assert upload(owner, "drafts/new.png", photo) == 201
    assert (second / "2024/new.png").read_bytes() == photo.read_bytes()
    assert (first / "2024/new.png").is_file() and not (first / "Photos").exists()
    for path in ("Photos/../x.png", "Photos//x.png", "Photos/", "../x.png", "Photos"):
        assert upload(owner, path, photo) == 422, path
    second.rename(tmp_path / "away")
    assert upload(owner, "Photos/2025/new.png", photo) == 403
    assert not second.exists()
    (tmp_path / "away").rename(second)
    owner.app.state.service.library.close()
    assert index_folder(folders, to, bundle).unchanged == 9


def test_nothing_outside_of_the_folders_is_served(owner, folders, tmp_path):
    first, second = folders
    outside = save_photo(tmp_path / "outside.png", (3, 3, 3))
    ids = {str(hit["path"]): hit["id"] for hit in found(owner)}
    for target in (outside, first / "red.png"):  # the other folder is outside of this one, too
        (second / "2019/red.png").unlink()
        (second / "2019/red.png").symlink_to(target)
        assert owner.get(f"/v1/items/{ids['Photos/2019/red.png']}/photo").status_code == 404
    (second / "2019/red.png").unlink()
    (second / "2019/red.png").symlink_to(second / "2019/blue.png")
    assert owner.get(f"/v1/items/{ids['Photos/2019/red.png']}/photo").status_code == 200
    answer = owner.get(f"/v1/items/{ids['red.png']}/photo")
    assert str(tmp_path) not in str(answer.headers)


def test_messages_do_not_name_places(owner, folders):
    first, second = folders
    library = owner.app.state.service.library
    assert library.public(f"{second}/2019/x.png and {first}/y.png") == (
        "Photos/2019/x.png and Pictures/y.png"
    )


@pytest.mark.slow
def test_a_search_that_asks_the_service_has_the_files(to, folders):
    first, second = folders
    with serving(to) as (_, url), ServedIndex(url, read_manifest(to).roots) as index:
        hits = index.search("a red photo", k=50)
        assert {hit.path for hit in hits} == {
            *(first / f"{name}.png" for name in COLOURS),
            *(second / f"2019/{name}.png" for name in COLOURS),
        }
        like = Query(like=str(second / "2019/red.png"))
        assert index.find(like, 50)[0].path in {first / "red.png", second / "2019/red.png"}


def test_a_hostile_manifest_does_not_open_other_folders(folders, to, bundle):
    values = read_manifest(to).as_dict()
    for name in ("..", "."):
        manifest = IndexManifest.parse({**values, "folders": {name: str(folders[1])}}, to)
        assert manifest.roots.path(f"{name}/2019/red.png") == folders[1] / "2019/red.png"
    assert index_folder(folders, to, bundle) == IndexReport(unchanged=6)
