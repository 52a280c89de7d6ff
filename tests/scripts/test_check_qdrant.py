"""The check of a real Qdrant server, against one that is none: the local mode behind HTTP."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.fixtures.qdrant_process import running
from tests.fixtures.qdrant_proxy import own, renamed

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_qdrant.sh"
MINE = {"vectors": {"mine": {"size": 3, "distance": "Dot"}}}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HGAN_QDRANT")}
    environment["PYTHON"] = sys.executable
    command = ["bash", str(SCRIPT), *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.slow
def test_tests_run_on_the_server_and_leave_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "server") as url:
        assert httpx.put(f"{url}/collections/photos", json=MINE).status_code == 200
        some = "what_was_written or some_buckets or collections_and_alias or waits_and_goes_on"
        done = run(url, "-k", some)
        assert done.returncode == 0, done.stdout + done.stderr
        # The contract for three stores, the collection, the alias, and a server that is restarted.
        assert " 6 passed" in done.stdout
        left = httpx.get(f"{url}/collections").json()["result"]["collections"]
        assert [one["name"] for one in left] == ["photos"]
        assert httpx.get(f"{url}/aliases").json()["result"]["aliases"] == []


@pytest.mark.parametrize("words", [(), ("qdrant",), ("--help",)])
def test_usage(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage:" in done.stderr


def test_a_server_that_does_not_answer() -> None:
    done = run("http://127.0.0.1:9")
    assert done.returncode == 1
    assert "http://127.0.0.1:9: not a Qdrant server that can be used" in done.stderr


def test_shell_is_portable() -> None:
    assert subprocess.run(["bash", "-n", str(SCRIPT)]).returncode == 0


def test_names_in_requests_and_answers() -> None:
    actions = b'{"actions": [{"delete_alias": {"alias_name": "a"}}, {"create_alias": '
    actions += b'{"collection_name": "a.g2", "alias_name": "a"}}]}'
    path, content = renamed("/collections/aliases", actions, "x-")
    assert path == "/collections/aliases"
    assert content == actions.replace(b'"a', b'"x-a').replace(b'"x-alias', b'"alias').replace(
        b'"x-actions', b'"actions'
    )
    assert renamed("/collections/a/points?wait=true", b"{}", "x-") == (
        "/collections/x-a/points?wait=true",
        b"{}",
    )
    assert renamed("/aliases", b"", "x-") == ("/aliases", b"")
    listed = b'{"result": {"collections": [{"name": "x-a"}, {"name": "other"}]}}'
    assert own("/collections", listed, "x-") == b'{"result": {"collections": [{"name": "a"}]}}'
    assert own("/collections/a", b'{"error": "no x-a"}', "x-") == b'{"error": "no a"}'
