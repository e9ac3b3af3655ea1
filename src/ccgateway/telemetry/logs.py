"""Log lines that hold no secret: for people, or one JSON object each for machines."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from ccgateway.errors import clean, without_tokens

__all__ = ["FIELDS", "LogFormat", "RedactingFilter", "configure_logging"]

LogFormat = Literal["console", "json"]

#: the attribute of a record under which values lie that JSON has as values of their own
FIELDS = "ccgateway_fields"

#: characters of one message
LONGEST = 10_000


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Lines for stderr; one that cannot be written (the disk is full) is lost without a traceback of thirty lines more."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """As logging does, unless the stream itself does not take it."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class RedactingFilter(logging.Filter):
    """Takes tokens, and what changes a terminal, out of every line, whichever library wrote it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrites the finished message; lets every record pass."""
        message = record.getMessage()
        clean = without_tokens(message, limit=LONGEST)
        if clean != message:
            record.msg, record.args = clean, None
        return True


class _OneLineEach(logging.Formatter):
    """Writes a record as a line; below it a traceback, whose lines are clean and indented: none can be taken for a record."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's name
        return _indented(stack_info)


#: what no field can be called
_ITS_OWN = frozenset({"time", "level", "logger"})


class _JsonLines(_OneLineEach):
    """Writes a record as one JSON object: ``time``, ``level``, ``logger``, ``message`` (that of its fields, if they have one),
    its fields, ``traceback``."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = getattr(record, FIELDS, None)
        if isinstance(fields, Mapping):
            line |= {str(name): _clean(value) for name, value in fields.items() if name not in _ITS_OWN}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _clean(value: object) -> object:
    """As the filter makes of a message: whatever is handed over as a field reaches the log without it."""
    if isinstance(value, str):
        return without_tokens(value, limit=LONGEST)
    if isinstance(value, Mapping):
        return {clean(str(name)): _clean(one) for name, one in value.items()}
    return value


def _indented(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(f"    {' ' * (len(line) - len(line.lstrip(' ')))}{without_tokens(line, limit=2000)}" for line in lines)


def configure_logging(level: str, log_format: LogFormat = "console") -> None:
    """Sends everything of ``level`` and above to stderr, tokens taken out."""
    handler = _Stderr()
    plain = _OneLineEach("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(_JsonLines() if log_format == "json" else plain)
    handler.addFilter(RedactingFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
