"""What all tests share: real data, a tiny bundle, photos, and how property tests run."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from hgan.runtime.bundle import Bundle
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import write_tiny_bundle

# A busy machine is no failure; the same examples every time make a failure one that can be chased.
settings.register_profile("hgan", deadline=None, derandomize=True)
settings.load_profile("hgan")


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests leave nothing among the user's caches."""
    monkeypatch.setenv("HGAN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def flickr8k() -> Path:
    """The folder of Flickr8k: `captions.jsonl` and `images/`; tests skip where it is absent."""
    folder = Path(os.environ.get("HGAN_DATA", "data")) / "flickr8k"
    if not (folder / "captions.jsonl").is_file():
        pytest.skip(
            f"Flickr8k is not at {folder}; set HGAN_DATA to the folder that holds flickr8k/"
        )
    return folder


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.load(write_tiny_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve photos, four a colour, in two levels of folders."""
    folder = tmp_path / "photos"
    for name, colour in COLOURS.items():
        for i in range(4):
            place = folder / name if i else folder
            save_photo(place / f"{name} {i}.png", colour, seed=len(name) * 10 + i)
    return folder
