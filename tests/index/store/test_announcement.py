"""The address of the service that has an index open."""

import json

import pytest

from hgan.files import lock_file
from hgan.index.store.announcement import FILE, announced, announced_address


@pytest.fixture(autouse=True)
def lock(tmp_path):
    """That of the service, which has the index open."""
    with lock_file(tmp_path / "lock") as held:
        yield held


def test_it_is_there_while_the_service_runs(tmp_path):
    assert announced_address(tmp_path) is None
    with announced(tmp_path, "http://127.0.0.1:8123"):
        assert announced_address(tmp_path) == "http://127.0.0.1:8123"
    assert announced_address(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_the_file_of_a_service_that_was_killed_does_not_count(tmp_path, lock):
    """Another program may have the port now, and must not get the key."""
    with announced(tmp_path, "http://127.0.0.1:8123"):
        lock.close()
        assert announced_address(tmp_path) is None


def test_it_goes_when_the_service_fails(tmp_path):
    with pytest.raises(RuntimeError), announced(tmp_path, "http://[::1]:8123"):
        assert announced_address(tmp_path) == "http://[::1]:8123"
        raise RuntimeError
    assert announced_address(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        "no json", "[]", "{}", '{"url": 3}', '{"url": "http://example.org:80"}',
        '{"url": "https://127.0.0.1:80"}', '{"url": "file:///etc/passwd"}', '{"url": "http://["}',
    ],
)  # fmt: skip
def test_other_addresses_are_not_used(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    assert announced_address(tmp_path) is None


def test_a_folder_that_cannot_be_written_has_none(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with announced(tmp_path / "file", "http://127.0.0.1:1"):
        assert announced_address(tmp_path / "file") is None


def test_the_file_is_small_json(tmp_path):
    with announced(tmp_path, "http://127.0.0.1:1"):
        assert set(json.loads((tmp_path / FILE).read_text())) == {"url", "process"}
