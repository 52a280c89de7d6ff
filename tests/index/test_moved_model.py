"""An index whose model is no longer where it was: in a folder, and on a server."""

from pathlib import Path

import pytest

import hgan
from hgan.cli import main
from hgan.errors import BundleError, IndexingError
from hgan.index.describe import describe_index
from hgan.index.indexer import index_folder
from hgan.index.open import remember_model
from hgan.index.store.open import read_manifest
from hgan.runtime.bundle import Bundle
from tests.fixtures.qdrant_proxy import new_server
from tests.fixtures.tiny_bundle import write_tiny_bundle

GONE = "no model bundle here any more; .* made with tiny.*hgan index --model MODEL"


@pytest.fixture(params=["folder", "server"])
def to(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the index is."""
    if request.param == "folder":
        return str(tmp_path / "index")
    server = new_server()
    monkeypatch.setattr("hgan.index.store.server.connect", lambda _settings: server)
    return "http://qdrant:6333/photos"


@pytest.fixture
def moved(to: str, photos: Path, tmp_path: Path) -> Path:
    """The folder of the model now, after the index was made."""
    bundle = write_tiny_bundle(tmp_path / "bundle")
    index_folder(photos, to, bundle)
    return bundle.rename(tmp_path / "moved")


def paths(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [Path(line).name for line in capsys.readouterr().out.splitlines()]


def test_a_search_names_the_new_place(to, moved, capsys):
    search = ["search", "a red photo", "--index", to, "-k", "4", "-f"]
    assert main(search) == 2
    assert "no model bundle here any more" in capsys.readouterr().err
    assert main([*search, "--model", str(moved)]) == 0
    assert all(name.startswith("red") for name in paths(capsys))
    assert main(search) == 2, "it is not remembered, because nobody asked for it"


def test_the_new_place_is_remembered(to, moved, photos, capsys):
    before = read_manifest(to)
    assert main(["index", "--to", to, "--model", str(moved)]) == 0
    assert capsys.readouterr().out == f"the model of {to} is now in {moved}\n"
    assert read_manifest(to).bundle_path == str(moved) != before.bundle_path
    assert main(["search", "a red photo", "--index", to, "-k", "4", "-f"]) == 0
    assert all(name.startswith("red") for name in paths(capsys))
    assert index_folder(photos, to).unchanged == 12
    assert describe_index(to)["bundle"] == str(moved)


def test_only_the_place_of_the_model_changes(to, moved, photos):
    index_folder(photos, to, moved, exclude=("*.gif",))
    before = read_manifest(to)
    remember_model(to, Bundle.load(moved))
    after = read_manifest(to)
    changed = {name for name, value in vars(after).items() if value != getattr(before, name)}
    assert changed <= {"bundle_path"} and after.bundle_path == str(moved)


def test_another_model_is_refused(to, moved, tmp_path, capsys):
    other = write_tiny_bundle(tmp_path / "other", seed=1)
    before = read_manifest(to)
    ids = [Bundle.load(folder).id for folder in (moved, other)]
    for command in (
        ["search", "red", "--index", to, "--model", str(other)],
        ["index", "--to", to, "--model", str(other)],
        ["index", "--to", to, "--repair", "--model", str(other)],
        ["serve", to, "--port", "0", "--model", str(other)],
    ):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert f"made with bundle tiny ({ids[0]}), not with tiny ({ids[1]})" in error
    assert read_manifest(to) == before


def test_photos_are_indexed_with_the_model_from_its_new_place(to, moved, photos):
    with pytest.raises(BundleError, match=GONE):
        hgan.open_index(to)
    with pytest.raises(BundleError, match=GONE):
        index_folder(photos, to)
    assert "no model bundle here any more" in describe_index(to)["problem"]
    with hgan.open_index(to, moved) as index:
        assert len(index) == 12
    assert index_folder(photos, to, moved).unchanged == 12
    # Other machines may have the model of an index on a server where it was.
    remembered = not to.startswith("http")
    assert (read_manifest(to).bundle_path == str(moved)) == remembered


def test_a_repair_with_the_model_from_its_new_place(to, moved, photos, capsys):
    assert main(["index", "--to", to, "--repair"]) == 2
    assert "no model bundle here any more" in capsys.readouterr().err
    assert main(["index", "--to", to, "--repair", "--model", str(moved)]) == 0
    assert "12 unchanged" in capsys.readouterr().out


def test_a_service_with_the_model_from_its_new_place(to, moved):
    from starlette.testclient import TestClient

    from hgan.serve.app import create_app

    with pytest.raises(BundleError, match=GONE):
        create_app(to)
    app = create_app(to, bundle=Bundle.load(moved))
    with TestClient(app, base_url="http://localhost") as client:
        [hit] = client.post("/v1/search", json={"text": "a red photo", "k": 1}).json()["hits"]
        assert hit["path"].split("/")[-1].startswith("red")


def test_nothing_is_remembered_of_an_index_that_is_not_there(to, tmp_path, capsys):
    bundle = write_tiny_bundle(tmp_path / "bundle")
    assert main(["index", "--to", to, "--model", str(bundle)]) == 2
    assert "hgan: " in capsys.readouterr().err
    assert not (tmp_path / "index").exists()
    with pytest.raises(IndexingError):
        remember_model(to, Bundle.load(bundle))


def test_with_options_of_photos_the_photos_of_the_index_are_read(to, moved, capsys):
    assert main(["index", "--to", to, "--model", str(moved), "--estimate"]) == 0
    assert capsys.readouterr().out.split()[:2] == ["photos", "12"]
