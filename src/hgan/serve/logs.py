"""Logs as JSON, one object per line, with the id of the request.

Search queries are not logged.
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

from hgan.terminal import visible

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


def log_to_stderr() -> None:
    """Send all logs to standard error; standard output is for results."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("httpx", "httpcore"):  # they log every request to a Qdrant server
        logging.getLogger(name).setLevel(logging.WARNING)
