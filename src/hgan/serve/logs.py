"""Logs: JSON for programs, one object per line with the id of the request, or lines for people.

People see what needs their attention and what has changed, but not each request that succeeded.
Search queries are not logged.
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

from hgan.terminal import visible

Format = Literal["text", "json"]
LOG = logging.getLogger("hgan.serve")

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the current request."""


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON, with the extra values in its `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line, even if its message has several lines."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := request_id.get():
            line["request_id"] = current
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return visible(json.dumps(line, ensure_ascii=False, default=str))


class TextFormatter(logging.Formatter):
    """Formats a record as a line for people: time, what has happened, and its `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line, followed by the lines of its exception."""
        fields = dict(getattr(record, "fields", {}))
        if "status" in fields:
            said = f"{fields['method']} {fields['path']}: {fields['status']}"
        else:
            said = record.getMessage()
            if fields:
                said += f" ({', '.join(f'{name} {value}' for name, value in fields.items())})"
        if record.levelno >= logging.WARNING:
            said = f"{record.levelname.lower()}: {said}"
        line = f"{datetime.fromtimestamp(record.created):%H:%M:%S} {visible(said)}"
        if record.exc_info:
            line += f"\n{visible(self.formatException(record.exc_info), keep=chr(10))}"
        return line


def _concerns_people(record: logging.LogRecord) -> bool:
    """Whether people should see a record: no server messages, and of requests those that failed."""
    if record.levelno >= logging.WARNING:
        return True
    status = getattr(record, "fields", {}).get("status")
    return record.name == LOG.name and (status is None or status >= 400 or not status)


def log_to_stderr(chosen: Format | None = None) -> None:
    """Send all logs to standard error; standard output is for results.

    Args:
        chosen: the format; by default text on a terminal, and JSON elsewhere.
    """
    handler = logging.StreamHandler(sys.stderr)
    if (chosen or ("text" if sys.stderr.isatty() else "json")) == "text":
        handler.setFormatter(TextFormatter())
        handler.addFilter(_concerns_people)
    else:
        handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("httpx", "httpcore"):  # they log every request to a Qdrant server
        logging.getLogger(name).setLevel(logging.WARNING)
