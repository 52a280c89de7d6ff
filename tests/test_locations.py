"""Default places: environment variables first, then the operating system's user directories."""

import sys
from pathlib import Path

import pytest

from hgan.locations import cache_folder, default_index


def test_places_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HGAN_INDEX", str(tmp_path / "index"))
    monkeypatch.setenv("HGAN_CACHE", str(tmp_path / "cache"))
    assert (default_index(), cache_folder()) == (tmp_path / "index", tmp_path / "cache")
    monkeypatch.setenv("HGAN_INDEX", "http://localhost:6333/photos")
    assert default_index() == "http://localhost:6333/photos"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="XDG directories")
def test_places_of_this_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HGAN_INDEX", "HGAN_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert default_index() == tmp_path / "data" / "hgan" / "index"
    assert cache_folder() == tmp_path / "caches" / "hgan"
    assert not (tmp_path / "data").exists()
