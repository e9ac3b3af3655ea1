"""What is known of a site being down, shared by everybody who asks it: a failure counts for a moment, as an answer does.

A failure of one question is not yet the site's: it may lie in the question or in the token. So after one the gateway itself asks
the site for nothing, without a token; if that fails as well, the site is down for everybody. If not, the same is asked with the
caller's token, and a failure then counts for that token alone. A connection that cannot even be made has nothing of a caller in
it and counts at once. Nothing counts if the site has answered anybody since the question began.

While a site is down one task looks after it every second or so, and whoever asks gets the failure at once. Whoever must have the
site's own word (``Visit.insists``) asks it all the same, and ends the outage if there is an answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from pydantic import SecretStr

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SiteError
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import Exchange, SiteAnswer, SiteRequest, Visit
from ccgateway.site.probing import NO_JOBS
from ccgateway.site.replies import refuse

__all__ = ["FailureMemory", "RememberedFailureError"]

logger = logging.getLogger("ccgateway.sites")

#: seconds between looks at a site that is down: the first pause, doubled up to the longest; the longest that a site can ask for
FIRST_PAUSE, LONGEST_PAUSE, MOST_ASKED_FOR = 0.25, 1.0, 30.0
#: seconds after the last question for which a site that is down is looked after, and one token's failures there
SITE_KEPT, TOKEN_KEPT = 60.0, 10.0
#: seconds without an answer after which a question makes the site suspect; seconds for which a look that went well counts
SLOW, WELL_FOR = 1.0, 1.0
#: seconds that a look may take at a site that is known to be down; the first one may take what any question may
LOOK = 2.0
#: tokens whose failures are remembered at any one time
MOST_TOKENS = 256

#: answers that may mean that the site, or what stands before it, is broken altogether
_BROKEN = frozenset({500, 502, 503, 504})
_BUSY = _BROKEN - {500}
#: failures of an exchange that may not be this question's alone
_SUSPECT = frozenset({Code.UNREACHABLE, Code.CONNECTION_LOST, Code.TIMEOUT, Code.SITE_BUSY, Code.BAD_ANSWER})

_NOBODY = Credential(SecretStr(""), None, None, "/api")


class RememberedFailureError(SiteError):
    """What the site came to a moment ago, for somebody who was not asked for anew."""


@dataclass(slots=True)
class _Outage:
    """One outage: of the site, or for one token. ``failure``: ``None`` while it is only suspected."""

    credential: Credential
    kept: float
    asked_at: float
    begun: float
    failure: SiteError | None = None
    seen_at: float = 0.0
    task: asyncio.Task[None] | None = None


class FailureMemory:
    """Outermost layer of a site's exchange: answers safe reads with a failure that is known to stand for everybody.

    ``client``: asks the site without any other policy, for the looks; ``timeout``: seconds that one look may take. Owns the tasks
    that look after the site: ``aclose`` ends them.
    """

    def __init__(self, inner: Exchange, client: Exchange, site: str, timeout: float) -> None:
        self._inner, self._client, self._site, self._timeout = inner, client, site, timeout
        self._outages: dict[Credential, _Outage] = {}
        self._well_at: dict[Credential, float] = {}
        self._answered_at = float("-inf")
        self._closed = False

    async def exchange(self, request: SiteRequest, visit: Visit) -> SiteAnswer:
        """As the layer below. Raises ``RememberedFailureError`` without asking, while the site is known to be down."""
        loop = asyncio.get_running_loop()
        if self._outages and request.safe:
            self._refuse(visit, loop.time())
        begun = loop.time()
        timer = loop.call_later(SLOW, self._suspect, _NOBODY, begun)
        try:
            answer = await self._inner.exchange(request, visit)
        except SiteError as error:
            if error.code in _SUSPECT:
                self._note(error, visit.credential, begun)
            raise
        finally:
            timer.cancel()
        if answer.status in _BROKEN:
            self._doubt(visit.credential, begun)
        else:
            self._answered_at = loop.time()
            if self._outages:
                self._end(_NOBODY)
                self._end(visit.credential)
        return answer

    def _refuse(self, visit: Visit, now: float) -> None:
        for credential in (_NOBODY, visit.credential):
            outage = self._outages.get(credential)
            if outage is not None:
                outage.asked_at = now
                if outage.failure is not None and not visit.insists:
                    raise _remembered(outage.failure, now - outage.seen_at)

    # --- from a failure to an outage

    def _note(self, error: SiteError, credential: Credential, begun: float) -> None:
        if error.code is not Code.UNREACHABLE:
            self._doubt(credential, begun)
        elif self._answered_at < begun:
            self._suspect(_NOBODY, begun, error)

    def _doubt(self, credential: Credential, begun: float) -> None:
        """Finds out whose failure it was: the site's, else the token's, else the question's."""
        self._suspect(_NOBODY, begun)
        if _NOBODY not in self._outages and len(self._outages) < MOST_TOKENS:
            self._suspect(credential, begun)

    def _suspect(self, credential: Credential, begun: float, failure: SiteError | None = None) -> None:
        outage, now = self._outages.get(credential), asyncio.get_running_loop().time()
        if outage is not None:
            if failure is not None:
                outage.failure, outage.seen_at = failure, now
            return
        if self._closed or (failure is None and self._well_at.get(credential, float("-inf")) > now - WELL_FOR):
            return
        kept = SITE_KEPT if credential is _NOBODY else TOKEN_KEPT
        outage = self._outages[credential] = _Outage(credential, kept, now, begun)
        if failure is not None:
            self._believe(outage, failure)
        outage.task = asyncio.create_task(self._look_after(outage), name=f"look after {self._site}")

    async def _look_after(self, outage: _Outage) -> None:
        """Looks until the site answers, or nobody has asked for it for a while."""
        clock, since = asyncio.get_running_loop().time, time.time()
        pause = FIRST_PAUSE
        try:
            if outage.failure is not None:
                await asyncio.sleep(pause)
            while True:
                failure = await self._look(outage)
                if failure is None or (outage.failure is None and self._answered_at > outage.begun):
                    self._note_well(outage, since)
                    return
                self._believe(outage, failure)
                if clock() - outage.asked_at > outage.kept:
                    return
                await asyncio.sleep(max(pause, min(failure.retry_after or 0.0, MOST_ASKED_FOR)))
                pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            if self._outages.get(outage.credential) is outage:
                del self._outages[outage.credential]

    async def _look(self, outage: _Outage) -> SiteError | None:
        """Asks for nothing with the outage's credential; the failure, if that fails as the site's fault."""
        request = SiteRequest("GET", f"{outage.credential.root}/jobs/?{NO_JOBS}")
        limit = Deadline.after(self._timeout if outage.failure is None else min(LOOK, self._timeout))
        try:
            answer = await self._client.exchange(request, Visit(outage.credential, limit))
        except SiteError as error:
            error.forget_frames()
            if error.code is Code.TIMEOUT and outage.failure is not None:
                return outage.failure
            return error if error.code in _SUSPECT else None
        if answer.status in _BUSY:
            message = f"The site is busy or its proxy cannot reach it (HTTP {answer.status})."
            return SiteError(Code.SITE_BUSY, self._site, message, retry_after=answer.retry_after)
        return refuse(answer, self._site) if answer.status == 500 else None

    def _believe(self, outage: _Outage, failure: SiteError) -> None:
        if outage.failure is None:
            whose = "" if outage.credential is _NOBODY else " with one of its tokens"
            logger.warning("site %s is down%s: %s", self._site, whose, failure.message)
        outage.failure, outage.seen_at = failure, asyncio.get_running_loop().time()
        self._well_at.pop(outage.credential, None)

    def _note_well(self, outage: _Outage, since: float) -> None:
        now = asyncio.get_running_loop().time()
        self._well_at = {one: at for one, at in self._well_at.items() if at > now - WELL_FOR}
        self._well_at[outage.credential] = now
        if outage.failure is not None:
            logger.warning("site %s answers again after %.1f s", self._site, time.time() - since)
        elif outage.credential is _NOBODY:
            logger.debug("site %s answers: what failed was a question", self._site)

    def _end(self, credential: Credential) -> None:
        outage = self._outages.get(credential)
        # one that is only suspected ends by its own look: what failed may go on failing for everybody else
        if outage is not None and outage.failure is not None:
            del self._outages[credential]
            if outage.task is not None:
                outage.task.cancel()

    async def aclose(self) -> None:
        """Ends looking after the site."""
        self._closed = True
        tasks = [outage.task for outage in self._outages.values() if outage.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _remembered(failure: SiteError, seconds: float) -> RememberedFailureError:
    message = f"{failure.message} So it was {seconds:.1f} s ago; the site is looked at again every second, and was not asked now."
    return RememberedFailureError(
        failure.code, failure.site, message, retryable=failure.retryable, retry_after=failure.retry_after
    )
