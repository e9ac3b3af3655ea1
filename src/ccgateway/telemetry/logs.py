"""What the gateway tells its operator while it works: one seam for counts and times, and logs that hold no secret.

Layers report to an ``Observer``; the one shipped writes log lines. Metrics and traces join here without touching a layer.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ccgateway.errors import without_tokens

__all__ = ["LogObserver", "Observer", "Rarely", "RedactingFilter", "Trouble", "Troubles", "configure_logging"]

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


class Rarely:
    """Says the same thing once in ``pause`` seconds, and then how often it was left unsaid."""

    def __init__(self, log: logging.Logger, *, pause: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._pause, self._clock = log, pause, clock
        self._said: dict[str, tuple[float, int]] = {}

    def warn(self, kind: str, words: str) -> None:
        """One warning for each ``kind``, of which there are few."""
        at, unsaid = self._said.get(kind, (None, 0))
        now = self._clock()
        if at is not None and now - at < self._pause:
            self._said[kind] = at, unsaid + 1
            return
        self._said[kind] = now, 0
        self._log.warning("%s%s", words, f" ({unsaid} times more since this was last said)" if unsaid else "")

    def forget(self, kind: str) -> bool:
        """Says it at once when it happens next; whether it was said."""
        return self._said.pop(kind, None) is not None


@dataclass(frozen=True, slots=True)
class Trouble:
    """A part that does not work as it should, why (no secret), and since when (seconds since the epoch)."""

    part: str
    reason: str
    since: float


class Troubles:
    """What does not work although the gateway serves: in the log once, and shown by ``/health/ready`` until it works again."""

    def __init__(self, log: logging.Logger = logging.getLogger("ccgateway.health")) -> None:  # noqa: B008 - one of a name
        self._log, self._rarely = log, Rarely(log)
        self._open: dict[str, Trouble] = {}

    def note(self, part: str, reason: str) -> None:
        """``part`` failed, for that reason."""
        words = without_tokens(reason, limit=300)
        since = self._open[part].since if part in self._open else time.time()
        self._open[part] = Trouble(part, words, since)
        self._rarely.warn(part, f"{part}: {words}")

    def mended(self, part: str) -> None:
        """``part`` works."""
        if self._open.pop(part, None) is not None and self._rarely.forget(part):
            self._log.warning("%s: works again", part)

    def told(self) -> list[Trouble]:
        """What does not work now."""
        return list(self._open.values())


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
    handler = _Stderr()
    handler.setFormatter(_OneLineEach("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    handler.addFilter(RedactingFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
