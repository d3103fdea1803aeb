"""The serving process's log: one JSON object per line on standard error, ASCII only.

Values are data of ours or escaped by JSON; keys, certificates and payloads are never passed here.
"""

import json
import logging
import sys
from datetime import UTC, datetime

from google.protobuf.message import DecodeError

LOGGER = logging.getLogger("bulkhead.cloud")
LONGEST_VALUE = 1000
"""Characters of one value; an agent must not fill the log."""


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "event": record.getMessage()}
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, DecodeError):  # gRPC's report of a peer's bytes, no mistake of ours
            line["exception"] = f"{type(error).__name__}: {error}"
        elif record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line | {name: _short(value) for name, value in fields.items()})


def start() -> None:
    """Send the log to standard error from now on, other libraries' warnings included."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    LOGGER.setLevel(logging.INFO)


def info(event: str, **fields: object) -> None:
    """Something that an operator may want to know happened."""
    LOGGER.info(event, extra={"fields": fields})


def warning(event: str, **fields: object) -> None:
    """Something was refused or went wrong, and the cloud goes on."""
    LOGGER.warning(event, extra={"fields": fields})


def _short(value: object) -> object:
    if isinstance(value, bool | int | float) or value is None:
        return value
    return str(value)[:LONGEST_VALUE]
