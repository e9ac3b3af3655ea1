"""What the gateway tells its operator while it works: one seam for counts and times, and logs that hold no secret.

Layers report to an ``Observer``; the one shipped writes log lines. Metrics and traces join here without touching a layer.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

from ccgateway.errors import without_tokens

__all__ = ["LogObserver", "Observer", "RedactingFilter", "configure_logging"]

logger = logging.getLogger("ccgateway.sites")


class Observer(Protocol):
    """Takes in what happened. Must neither block nor raise."""

    def exchanged(self, site: str, method: str, path: str, outcome: str, seconds: float) -> None:
        """One HTTP exchange with a site ended: ``outcome`` is its status or an error code; ``path`` is without query."""
        ...


class LogObserver:
    """Writes each exchange as a debug line; as a warning where no answer came. Answers that say no are in the reports."""

    def exchanged(self, site: str, method: str, path: str, outcome: str, seconds: float) -> None:
        """One log line."""
        level = logging.DEBUG if outcome.isdigit() or outcome == "CANCELLED" else logging.WARNING
        logger.log(level, "%s %s %s -> %s in %.0f ms", site, method, path, outcome, seconds * 1000)


class RedactingFilter(logging.Filter):
    """Takes tokens, and what changes a terminal, out of every line, whichever library wrote it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrites the finished message; lets every record pass."""
        message = record.getMessage()
        clean = without_tokens(message, limit=10_000)
        if clean != message:
            record.msg, record.args = clean, None
        return True


class _OneLineEach(logging.Formatter):
    """Writes a record as a line; below it a traceback, whose lines are clean and indented: none can be taken for a record."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's name
        return _indented(stack_info)


def _indented(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(f"    {' ' * (len(line) - len(line.lstrip(' ')))}{without_tokens(line, limit=2000)}" for line in lines)


def configure_logging(level: str) -> None:
    """Sends everything of ``level`` and above to stderr, tokens taken out."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLineEach("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    handler.addFilter(RedactingFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
