"""Logs for people on a terminal, and for programs elsewhere."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from hgan.serve.logs import LOG, log_to_stderr

REQUEST = {"method": "GET", "path": "/v1/items/x", "status": 200}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, chosen: str | None) -> list[str]:
    monkeypatch.setattr(sys, "stderr", stream)
    log_to_stderr(chosen)
    LOG.info("request", extra={"fields": REQUEST})
    LOG.info("request", extra={"fields": REQUEST | {"status": 404, "path": "/a\nb"}})
    LOG.info("the folder has changed", extra={"fields": {"added": 3, "removed": 0}})
    logging.getLogger("uvicorn.error").info("Started server process")
    LOG.error("the index failed: %s", "\x1b[31m")
    return stream.getvalue().splitlines()


def test_people_see_what_has_changed_or_failed(monkeypatch):
    lines = [line.split(" ", 1)[1] for line in logged(monkeypatch, Terminal(), None)]
    assert lines == [
        "GET /a\\nb: 404",
        "the folder has changed (added 3, removed 0)",
        "error: the index failed: \\u001b[31m",
    ]


@pytest.mark.parametrize(("stream", "chosen"), [(io.StringIO, None), (Terminal, "json")])
def test_programs_get_json(monkeypatch, stream, chosen):
    lines = [json.loads(line) for line in logged(monkeypatch, stream(), chosen)]
    assert [line["message"] for line in lines][:3] == ["request"] * 2 + ["the folder has changed"]
    assert len(lines) == 5


def test_an_exception_has_its_lines(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log_to_stderr("text")
    try:
        raise ValueError("first\rsecond")
    except ValueError:
        LOG.exception("unexpected error")
    first, *_, last = stream.getvalue().splitlines()
    assert first.endswith(" error: unexpected error")
    assert last == "ValueError: first\\rsecond"
