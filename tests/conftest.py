"""What all tests share: real data, a tiny bundle, photos, and how property tests run."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from hgan.runtime.bundle import Bundle
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.processes import Group, processes
from tests.fixtures.qdrant_proxy import remove_collections
from tests.fixtures.tiny_bundle import write_tiny_bundle

# No deadline, as the machine may be busy; the same examples each time, so that failures repeat.
settings.register_profile("hgan", deadline=None, derandomize=True)
settings.load_profile("hgan")


def pytest_sessionfinish() -> None:
    """Remove what tests have left on a real Qdrant server."""
    remove_collections()


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests write nothing to the user's cache."""
    monkeypatch.setenv("HGAN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same figures on every machine; tests of devices set another one."""
    monkeypatch.setenv("HGAN_DEVICE", "cpu")


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
def alone() -> Iterator[Group]:
    """One process of its own, to compare several with."""
    with processes(1) as group:
        yield group


@pytest.fixture(scope="session")
def pair() -> Iterator[Group]:
    """Two processes that work together."""
    with processes(2) as group:
        yield group


@pytest.fixture(scope="session")
def trio() -> Iterator[Group]:
    """Three processes that work together."""
    with processes(3) as group:
        yield group


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A checkpoint, its bundle and its compact bundle; tests leave them as they are. The first
    process of a test run makes them for all, which takes half a minute."""
    from hgan.files import lock_file
    from tests.fixtures.tiny_checkpoint import export_model

    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    with lock_file(root / "exported.lock", wait=600):
        if not (root / "exported").exists():
            export_model(root / "exporting").rename(root / "exported")
    checkpoint, plain, small = (root / "exported" / n for n in ("checkpoint", "plain", "small"))
    return checkpoint, plain, small


@pytest.fixture(scope="session")
def checkpoint_and_bundle(exported: tuple[Path, Path, Path]) -> tuple[Path, Path]:
    """A checkpoint and the bundle that was exported from it; tests leave them as they are."""
    return exported[:2]


@pytest.fixture(scope="module")
def exported_once() -> Iterator[None]:
    """A backbone is exported once in a module, which takes seconds, and not in every test."""
    from tests.fixtures.pixels import export_once

    with pytest.MonkeyPatch.context() as patch:
        export_once(patch)
        yield


@pytest.fixture
def forget_plugins() -> Iterator[None]:
    """Plug-ins that a test loads are unknown to the next test."""
    from hgan.model.matcher import MATCHERS
    from hgan.training.losses.loss import LOSSES

    yield
    for registry in (MATCHERS, LOSSES):
        for name, found in list(registry._classes.items()):
            if found.__module__.startswith("hgan_plugin_"):
                del registry._classes[name]
    for name in [name for name in sys.modules if name.startswith("hgan_plugin_")]:
        del sys.modules[name]


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
