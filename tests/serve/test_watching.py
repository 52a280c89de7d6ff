"""A service whose index follows its folder: searches find added photos while they run."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from hgan.errors import ConfigError
from hgan.index import watcher as watch
from hgan.index.indexer import index_folder
from hgan.search.query import Query
from hgan.serve.library import open_library
from hgan.serve.metrics import Metrics
from hgan.serve.service import Service
from hgan.serve.settings import Settings
from hgan.serve.watching import following
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import write_tiny_bundle


def wait_for(true: Callable[[], bool]) -> None:
    patience = time.monotonic() + 60
    while not true():
        assert time.monotonic() < patience, "it did not happen"
        time.sleep(0.05)


@pytest.fixture
def library(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "SETTLE", 0.2)
    for name, colour in COLOURS.items():
        save_photo(tmp_path / f"photos/{name}.png", colour)
    index_folder(tmp_path / "photos", tmp_path / "index", write_tiny_bundle(tmp_path / "bundle"))
    opened = open_library(tmp_path / "index", Settings(), Metrics())
    yield opened
    opened.close()


def test_searches_see_what_comes_and_goes(library, tmp_path):
    photos = tmp_path / "photos"
    stop: list[int] = []

    def search() -> int:
        searches = 0
        while not stop:
            assert library.index.find(Query("a red photo"), 5)
            searches += 1
        return searches

    with ThreadPoolExecutor(2) as pool, following(Service(library, Settings(), Metrics())):
        searching = [pool.submit(search) for _ in range(2)]
        try:
            for i in range(20):
                save_photo(photos / f"more/{i}.png", COLOURS["red"], seed=i)
            wait_for(lambda: len(library.index) == 23)
            (photos / "green.png").unlink()
            wait_for(lambda: len(library.index) == 22)
        finally:
            stop.append(1)
        assert all(future.result() > 0 for future in searching)
    save_photo(photos / "late.png", COLOURS["red"])
    time.sleep(0.5)
    assert len(library.index) == 22


def test_rules_that_the_index_keeps_are_followed(library, tmp_path):
    library.close()
    photos = tmp_path / "photos"
    index_folder(photos, tmp_path / "index", tmp_path / "bundle", exclude=["red*", "drafts/"])
    opened = open_library(tmp_path / "index", Settings(), Metrics())
    try:
        with following(Service(opened, Settings(), Metrics())):
            assert len(opened.index) == 2
            save_photo(photos / "drafts/blue.png", COLOURS["blue"], seed=1)
            save_photo(photos / "red 2.png", COLOURS["red"], seed=2)
            save_photo(photos / "green 2.png", COLOURS["green"], seed=3)
            wait_for(lambda: len(opened.index) == 3)
        found = {hit.path.name for hit in opened.index.search("red", 9)}
        assert found == {"blue.png", "green.png", "green 2.png"}
    finally:
        opened.close()


def test_photos_that_are_in_no_folder(library):
    library._source = object()
    service = Service(library, Settings(), Metrics())
    with pytest.raises(ConfigError, match="only folders can be watched"), following(service):
        pass
