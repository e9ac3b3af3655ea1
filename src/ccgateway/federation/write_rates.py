"""How much one caller may write: so many commands a minute, so many calls at a time. Counted in each process by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ccgateway.errors import Code, RequestError
from ccgateway.settings import WriteSettings

__all__ = ["Admission"]

#: callers remembered before those who used nothing lately are forgotten
MOST_CALLERS = 10_000


@dataclass(slots=True)
class _Account:
    """What a caller may still send (``left`` commands, as of ``at``), and how many calls of it are running."""

    left: float
    at: float
    running: int = 0


class Admission:
    """Lets calls in, or refuses them with ``RATE_LIMITED``."""

    def __init__(self, settings: WriteSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._accounts: dict[str, _Account] = {}

    @contextmanager
    def admit(self, subject: str, commands: int) -> Iterator[None]:
        """For the length of a call with so many commands."""
        most, now = self._settings.per_minute, self._clock()
        account = self._account(subject, now)
        account.left = min(float(most), account.left + (now - account.at) * most / 60)
        account.at = now
        if account.running >= self._settings.calls_at_once:
            message = f"More than {self._settings.calls_at_once} writing calls at a time. Wait until one is answered."
            raise RequestError(Code.RATE_LIMITED, message, retry_after=1.0)
        # a call that is larger than a minute's worth is let in when nothing was sent for a minute
        if account.left < min(commands, most):
            wait = (min(commands, most) - account.left) * 60 / most
            raise RequestError(
                Code.RATE_LIMITED, f"More than {most} orders in a minute. Try again in {wait:.0f} s.", retry_after=wait
            )
        account.left -= commands
        account.running += 1
        try:
            yield
        finally:
            account.running -= 1

    def _account(self, subject: str, now: float) -> _Account:
        found = self._accounts.get(subject)
        if found is None:
            if len(self._accounts) >= MOST_CALLERS:
                self._accounts = {name: one for name, one in self._accounts.items() if one.running or now - one.at < 60}
            found = self._accounts[subject] = _Account(float(self._settings.per_minute), now)
        return found
