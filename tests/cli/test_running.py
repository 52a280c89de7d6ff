"""Searching an index that a service has open: the service is asked."""

import json
import signal

import pytest

from hgan.cli import main
from hgan.index.indexer import index_folder
from hgan.index.store.announcement import FILE, announced_address
from tests.fixtures.service_process import KEY, serving


@pytest.fixture
def index(photos, tmp_path, bundle):
    index_folder(photos, tmp_path / "index", bundle)
    return tmp_path / "index"


def searched(capsys, index, *arguments) -> list[dict]:
    assert main(["search", *arguments, "--index", str(index), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


QUERIES = (
    ("a red photo", "-k", "3"),
    ("blue", "--without", "red", "--min-score", "0.1"),
    ("green", "--where", "folder=green", "--fold"),
)


@pytest.mark.slow
def test_the_answers_are_those_of_the_index(index, photos, capsys):
    photo = next(photos.rglob("*.png"))
    queries = (*QUERIES, ("--like", str(photo)), ("--image", str(photo), "-k", "2"))
    with serving(index, "--no-browser"):
        assert announced_address(index) is not None
        asked = [searched(capsys, index, *query) for query in queries]
    assert announced_address(index) is None
    for query, hits in zip(queries, asked, strict=True):
        own = searched(capsys, index, *query)
        assert [hit["path"] for hit in hits] == [hit["path"] for hit in own]
        assert [hit["duplicates"] for hit in hits] == [hit["duplicates"] for hit in own]
        assert [hit["score"] for hit in hits] == pytest.approx([hit["score"] for hit in own])


@pytest.mark.slow
def test_a_service_that_wants_a_key_gets_it_from_the_environment(index, capsys, monkeypatch):
    with serving(index, "--no-browser", "--require-key"):
        monkeypatch.setenv("HGAN_API_KEYS", KEY)
        assert searched(capsys, index, "red")
        monkeypatch.setenv("HGAN_API_KEYS", "a key that the service does not know at all")
        assert main(["search", "red", "--index", str(index)]) == 2


@pytest.mark.slow
def test_after_a_kill_the_index_is_opened(index, capsys):
    with serving(index, "--no-browser") as (process, _):
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (index / FILE).exists()
    assert searched(capsys, index, "a red photo", "-k", "3")
