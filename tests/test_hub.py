"""Whether the hub answers: asked once, and not at all for a folder."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from hgan.hub import is_out_of_reach


class Answers(BaseHTTPRequestHandler):
    """A hub that answers with an error, as one that is asked for what it does not have."""

    asked: list[str]

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The requests that reach a hub on this machine."""
    Answers.asked = []
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        yield Answers.asked
        server.shutdown()


def test_a_hub_that_answers_is_in_reach(asked: list[str]) -> None:
    assert not is_out_of_reach("someone/model")
    assert len(asked) == 1


def test_a_hub_that_does_not_answer_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert is_out_of_reach("someone/model")
    assert is_out_of_reach("old-model")


def test_nothing_is_asked_about_paths(asked: list[str], tmp_path: Path) -> None:
    assert not is_out_of_reach(str(tmp_path))
    assert not is_out_of_reach(str(tmp_path / "missing"))
    assert asked == []
