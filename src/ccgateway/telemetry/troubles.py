"""What does not work although the gateway serves, and lines that are said once in a while and not each time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from ccgateway.errors import without_tokens

__all__ = ["Rarely", "Trouble", "Troubles"]


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
