"""Which release a site speaks: as the settings say or, where they say ``auto``, found out by asking and kept, over failures too.

Whoever needs it while it is being found out waits for the same search, but only with the same credential: what comes of a search
may be the fault of the token that it was made with. A search belongs to nobody who waits for it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SiteError
from ccgateway.settings import SiteSettings
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext, Exchange
from ccgateway.site.releases import DIALECTS, Dialect
from ccgateway.site.releases.probing import find_release
from ccgateway.traffic.scopes import begin_fetch

__all__ = ["SiteRelease"]

T = TypeVar("T")

#: seconds for which a release that was found is taken for granted, and after which one looks again if that could not be found out
REMEMBERED_FOR, RETRIED_AFTER = 300.0, 10.0


_Key: TypeAlias = "tuple[Credential, bool]"


@dataclass(slots=True)
class _Search:
    """A search under way, and how many wait for it; it ends with the last of them."""

    task: asyncio.Task[Dialect]
    waiting: int = 0


class SiteRelease:
    """One site's. ``dialect``: as configured or found last, ``None`` while it is not known. Owns its searches: ``aclose``."""

    def __init__(self, settings: SiteSettings, exchange: Exchange) -> None:
        self._settings, self._exchange = settings, exchange
        self.dialect: Dialect | None = DIALECTS.get(settings.release)
        self.found_at = -math.inf
        self._retry_at = -math.inf
        self._is_doubted = False
        self._searches: dict[_Key, _Search] = {}

    @property
    def is_auto(self) -> bool:
        """Whether it is to be found out."""
        return self._settings.release == "auto"

    def doubt(self) -> None:
        """Has the next question find out again which release answers, once the site answers."""
        self._is_doubted = True

    async def current(self, context: CallContext) -> Dialect:
        """The dialect to ask in. Raises ``SiteError`` where none is known and none can be found out."""
        known = self.dialect
        if known is None or (self.is_auto and self._is_doubted):
            return await self.search(context)
        if not self.is_auto or time.monotonic() < max(self.found_at + REMEMBERED_FOR, self._retry_at) or self._searches:
            return known
        try:
            return await self.search(context)
        except SiteError:
            self._retry_at = time.monotonic() + RETRIED_AFTER
            return known

    async def heard(self, context: CallContext) -> Dialect:
        """As ``current``. Raises ``NO_CREDENTIAL`` where the gateway could not tell whose jobs to hide."""
        dialect = await self.current(context)
        self._check_identity(dialect, context.credential)
        return dialect

    async def speaking(self, context: CallContext, ask: Callable[[Dialect], Awaitable[T]]) -> T:
        """What ``ask`` comes to in the dialect that the site speaks; once more if it turns out to speak another by now."""
        begun = time.monotonic()
        dialect = await self.heard(context)
        try:
            return await ask(dialect)
        except SiteError as error:
            if error.code not in _MISFITS and not (self.is_auto and _is_shut_out(error, dialect)):
                raise
            if not self.is_auto:
                raise self._explained(error) from None
            if self.found_at >= begun and self.dialect is dialect:
                raise
            again = await self.search(context) if self.dialect is dialect else await self.current(context)
            if again is dialect:
                raise
            self._check_identity(again, context.credential)
            return await ask(again)

    def _check_identity(self, dialect: Dialect, credential: Credential) -> None:
        """Where the gateway itself must hide other people's jobs, it has to know whose the token is."""
        if not dialect.isolates and credential.user is None and not credential.sees_all:
            message = f"Release {dialect.name} shows every token everything, and this token does not say whose it is: not asked."
            raise SiteError(Code.NO_CREDENTIAL, self._settings.name, message)

    def _explained(self, error: SiteError) -> SiteError:
        hint = f"It is configured as release {self._settings.release}; ccgateway check tells which one answers there."
        return SiteError(error.code, self._settings.name, f"{error.message.rstrip('.')}. {hint}", retryable=error.retryable)

    async def search(self, context: CallContext) -> Dialect:
        """Asks the site which release it is, once for all who wait with the same credential."""
        key = context.credential, context.insists
        search = self._searches.get(key)
        if search is None:
            name = f"release of {self._settings.name}"
            task, _ = begin_fetch(lambda: asyncio.create_task(self._find(context), name=name))
            search = self._searches[key] = _Search(task)
            task.add_done_callback(lambda _: self._forget(key, search))
        search.waiting += 1
        try:
            async with context.deadline.limit():
                return await asyncio.shield(search.task)
        except SiteError as error:
            raise error.with_traceback(None) from None  # else each who waits would add to one traceback
        except TimeoutError:
            raise SiteError(Code.TIMEOUT, self._settings.name, "The site did not answer in time.") from None
        finally:
            search.waiting -= 1
            if not search.waiting:
                self._forget(key, search)

    async def _find(self, context: CallContext) -> Dialect:
        own = replace(context, deadline=Deadline.after(self._settings.timeout))
        dialect = DIALECTS[await find_release(self._exchange, own, self._settings.name)]
        self.dialect, self._is_doubted, self.found_at = dialect, False, time.monotonic()
        return dialect

    def _forget(self, key: _Key, search: _Search) -> None:
        """Ends a search, or takes in that it has ended."""
        if self._searches.get(key) is search:
            del self._searches[key]
        if not search.task.done():
            search.task.cancel()
        elif not search.task.cancelled():
            search.task.exception()  # whether or not somebody still waits

    async def aclose(self) -> None:
        """Ends the searches under way."""
        tasks = [search.task for search in self._searches.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_shut_out(error: SiteError, dialect: Dialect) -> bool:
    """Whether a site that isolated nobody, and so let everybody into ``/api``, may have become one that does not."""
    return error.code is Code.SITE_UNAUTHORIZED and not dialect.isolates


#: failures that a site of another release than thought would show
_MISFITS = frozenset({Code.WRONG_RELEASE, Code.SITE_REFUSED})
