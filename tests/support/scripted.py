"""An exchange that does what a script says, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from ccgateway.deadline import Deadline
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from support.upstream import ADMIN

__all__ = ["Scripted", "context_for"]

OK = SiteAnswer(200, "application/json", b"{}")


class Scripted:
    """Gives one outcome after the other (the last one for ever); a number means: wait that many seconds first."""

    def __init__(self, *outcomes: SiteAnswer | Exception | float, by: Callable[[SiteRequest], SiteAnswer] | None = None) -> None:
        self.outcomes = list(outcomes)
        self.by = by
        self.requests: list[SiteRequest] = []
        self.at: list[float] = []
        self.now = self.most = 0

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        self.requests.append(request)
        self.at.append(asyncio.get_running_loop().time())
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0)
            if self.by is not None:
                return self.by(request)
            outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
            if isinstance(outcome, (int, float)):
                await asyncio.sleep(outcome)
                return OK
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        finally:
            self.now -= 1

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


def context_for(seconds: float = 60.0, credential: Credential = ADMIN) -> CallContext:
    return CallContext(credential, Deadline.after(seconds))


def answers(*bodies: bytes, status: int = 200) -> Iterable[SiteAnswer]:
    return (SiteAnswer(status, "application/json", body) for body in bodies)
