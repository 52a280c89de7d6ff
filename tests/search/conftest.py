"""A tiny bundle, and a folder of photos that it can tell apart."""

from pathlib import Path

import pytest

from hgan.runtime.bundle import Bundle
from tests.search.made import COLOURS, save_photo
from tests.tiny_bundle import write_tiny_bundle


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
