"""What goes wrong with a site if nobody sees to it: its token and its certificate expire, its clock is off. Said once each."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator

from ccgateway.site.samples import Told

__all__ = ["SiteWatch"]

logger = logging.getLogger("ccgateway.sites")

#: seconds between two looks; a day
EVERY, DAY = 600.0, 86_400.0
#: days before the end at which it is said again; seconds that a clock may be wrong: tokens are checked by it
DAYS_LEFT, MOST_SKEW = (30, 7, 1), 5.0


class SiteWatch:
    """``async with``: looks at ``sites`` now and then, and writes a line for each change for the worse, or back."""

    def __init__(self, sites: Callable[[], Iterable[Told]], clock: Callable[[], float] = time.time) -> None:
        self._sites, self._clock = sites, clock
        self._said: dict[tuple[str, str], str] = {}

    def follow(self, sites: Callable[[], Iterable[Told]]) -> None:
        """It looks at these from now on, and at no others."""
        self._sites = sites

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._run(), name="watch sites")

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(EVERY)

    def look(self) -> None:
        """Says what has changed since it was said last."""
        for one in self._sites():
            for what, state, words in self._states(one):
                key = one.site.name, what
                before = self._said.get(key, "")
                if state == before:
                    continue
                self._said[key] = state
                if state:
                    logger.warning("site %s: %s", one.site.name, words)
                else:
                    logger.warning("site %s: %s is well again", one.site.name, what)

    def _states(self, one: Told) -> Iterator[tuple[str, str, str]]:
        facts = one.site.health.facts
        for what, expires in (
            ("its token", one.credentials.expires),
            ("its certificate", facts.certificate_expires),
        ):
            if expires is not None:
                left = expires - self._clock()
                state = _left(left)
                yield what, state, f"{what} {'has expired' if left <= 0 else f'expires in {left / DAY:.1f} days'}"
        skew = facts.clock_skew
        if skew is not None:
            is_wrong = abs(skew) > MOST_SKEW
            words = f"its clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}, by which tokens may not be accepted"
            yield "its clock", "wrong" if is_wrong else "", words


def _left(seconds: float) -> str:
    """The shortest of ``DAYS_LEFT`` that is left, in words; empty while there is more."""
    if seconds <= 0:
        return "expired"
    return next((f"{days} days" for days in reversed(DAYS_LEFT) if seconds <= days * DAY), "")
