"""Three photos and an index of them, made by the command line."""

from pathlib import Path

import pytest
from PIL import Image

from hgan.cli import main
from tests.fixtures.tiny_bundle import write_tiny_bundle

COLOURS = {"red": (250, 20, 20), "green": (20, 250, 20), "blue": (20, 20, 250)}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos, each of one colour."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (80, 64), colour).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def index(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """An index of the photos."""
    bundle = write_tiny_bundle(tmp_path / "bundle")
    folder = tmp_path / "index"
    assert main(["index", str(photos), "--to", str(folder), "--bundle", str(bundle)]) == 0
    capsys.readouterr()
    return folder
