"""One JSON object a line, with the id of the request that it is about.

What people search for is not in the logs.
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

LOG = logging.getLogger("hgan.serve")

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that this code works for."""


class JsonFormatter(logging.Formatter):
    """A record as JSON; what stands in its `fields` is added."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in the message."""
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
        return json.dumps(line, ensure_ascii=False, default=str)


def log_to_stderr() -> None:
    """Send all logs there; standard output is for results."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("httpx", "httpcore"):  # a line for each question to a Qdrant server
        logging.getLogger(name).setLevel(logging.WARNING)
