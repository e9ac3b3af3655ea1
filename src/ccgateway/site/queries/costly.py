"""One question of a kind at a time, for what can bring a site to a standstill if several are asked at once.

Up to 1.3 a site that groups jobs by user holds one of its few database connections and takes another for every name. As soon as
all of them are held in that way, none is ever given back, and the instance answers nobody any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SiteError

__all__ = ["Turns"]

#: seconds for which a question that was broken off may go on at the site
RESTS_FOR = 60.0
_BROKEN_OFF = frozenset({Code.TIMEOUT, Code.CONNECTION_LOST})


class Turns:
    """Those of one site."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._rests_until = 0.0

    @asynccontextmanager
    async def turn(self, deadline: Deadline, site: str) -> AsyncIterator[None]:
        """Waits until no other is asked. ``TIMEOUT`` where that is not in time, ``SITE_REFUSED`` after one
        that was broken off."""
        try:
            async with deadline.limit():
                await self._lock.acquire()
        except TimeoutError:
            raise SiteError(Code.TIMEOUT, site, "Others were asking the site for its users all the time.") from None
        try:
            self._check(site)
            yield
        except asyncio.CancelledError:
            self._rests_until = time.monotonic() + RESTS_FOR
            raise
        except SiteError as error:
            if error.code in _BROKEN_OFF:
                self._rests_until = time.monotonic() + RESTS_FOR
            raise
        finally:
            self._lock.release()

    def _check(self, site: str) -> None:
        """A question that nobody waits for any more may still be under way there."""
        if time.monotonic() < self._rests_until:
            raise SiteError(Code.SITE_REFUSED, site, "The site may still be busy with its users for somebody who left.")
