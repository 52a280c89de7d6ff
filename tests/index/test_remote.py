"""A folder of photos into a collection on a server, and searches there, without a network."""

from pathlib import Path

import pytest

from hgan.cli import main
from hgan.errors import IndexingError
from hgan.index.indexer import IndexReport, index_folder
from hgan.search.searcher import open_index
from tests.fixtures.photos import save_photo
from tests.fixtures.qdrant_proxy import new_server

PLACE = "http://qdrant:6333/photos"


@pytest.fixture(autouse=True)
def server(monkeypatch):
    made = new_server()
    monkeypatch.setattr("hgan.index.store.server.connect", lambda _settings: made)
    return made


def test_counts_of_every_kind(photos, bundle):
    assert index_folder(photos, PLACE, bundle) == IndexReport(added=12)
    assert index_folder(photos, PLACE, bundle) == IndexReport(unchanged=12)
    save_photo(photos / "new.jpg", (200, 200, 0))
    (photos / "blue/blue 2.png").unlink()
    assert index_folder(photos, PLACE, bundle) == IndexReport(added=1, removed=1, unchanged=11)


def test_hits_are_those_of_a_folder(photos, tmp_path, bundle):
    index_folder(photos, PLACE, bundle)
    index_folder(photos, tmp_path / "index", bundle)
    with open_index(PLACE, bundle) as there, open_index(tmp_path / "index", bundle) as here:
        assert len(there) == len(here) == 12
        for text in ("a red photo", "two blue dogs in the green snow"):
            for where in (None, "folder=red"):
                found, expected = (index.search(text, 5, where=where) for index in (there, here))
                assert [hit.path for hit in found] == [hit.path for hit in expected]
                for hit, other in zip(found, expected, strict=True):
                    assert hit.score == pytest.approx(other.score, abs=3e-3)
                    assert hit.levels == pytest.approx(other.levels, abs=6e-3)
        assert there.exhaustive("red", 1)[0].path == here.exhaustive("red", 1)[0].path


def test_other_photos_and_no_photos(photos, tmp_path, bundle):
    with pytest.raises(IndexingError):
        open_index(PLACE, bundle)
    index_folder(photos, PLACE, bundle)
    with pytest.raises(IndexingError, match=f"{PLACE}: contains the photos of"):
        index_folder(photos / "red", PLACE, bundle)


def test_by_command(
    photos: Path, bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{PLACE}?shard_number=2"
    assert main(["index", str(photos), "--to", address, "--bundle", str(bundle.folder)]) == 0
    assert capsys.readouterr().out.startswith("12 added, ")
    assert main(["search", "green", "--index", PLACE, "-k", "1"]) == 0
    assert "green" in capsys.readouterr().out
    monkeypatch.setenv("HGAN_INDEX", PLACE)
    assert main(["search", "blue", "-k", "1"]) == 0
    assert "blue" in capsys.readouterr().out
