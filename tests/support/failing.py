"""Sites that fail as they are told, and what asks them through the memory of failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from pydantic import SecretStr

from ccgateway.errors import Code, SiteError
from ccgateway.settings import LimitSettings
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext, Exchange, SiteAnswer, SiteRequest
from ccgateway.site.guard import Guarding, Watching
from ccgateway.site.outages import FailureMemory
from ccgateway.traffic.admission import Traffic
from ccgateway.traffic.scopes import RequestScope, entered
from support.scripted import OK, context_for

__all__ = [
    "ALICE", "BAD", "BOB", "CLEO", "HEAVY", "READ", "SERVICE", "WRITE", "Guarded", "Outcome", "Site", "Slow", "ask_as", "asking",
    "failure", "is_down", "memory_of", "outcome", "outcome_of", "status", "until", "well_but_for_questions",
]  # fmt: skip

READ = SiteRequest("GET", "/api/jobs/?page=1")
HEAVY = SiteRequest("GET", "/api/jobs/?page=2")
WRITE = SiteRequest("POST", "/api/jobs/start_job/", b"{}", safe=False)
ALICE, BOB, CLEO = (Credential(SecretStr(name), name, frozenset({"user"}), "/api") for name in ("alice", "bob", "cleo"))
SERVICE = replace(ALICE, is_vouched_for=True)

Outcome = SiteAnswer | SiteError


def status(number: int) -> SiteAnswer:
    return SiteAnswer(number, "text/plain", b"")


def failure(code: Code) -> SiteError:
    return SiteError(code, "here", "It failed.")


class Site:
    """``by`` says what comes of a request with a token; every request is kept, the looks among them."""

    def __init__(self, by: Callable[[str, str], Outcome]) -> None:
        self.by = by
        self.asked: list[tuple[str, str]] = []

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        token = context.credential.token.get_secret_value()
        self.asked.append((token, request.path))
        await asyncio.sleep(0)
        outcome = self.by(token, request.path)
        if isinstance(outcome, SiteError):
            raise SiteError(outcome.code, outcome.site, outcome.message)
        return outcome

    def questions(self) -> int:
        return sum(path in (READ.path, HEAVY.path, WRITE.path) for _, path in self.asked)


class Guarded(FailureMemory):
    """The memory with the layers that ask it, around ``site``."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, "here", 5.0)
        self.exchange = Guarding(Watching(site, self), self).exchange


@asynccontextmanager
async def memory_of(site: Site) -> AsyncIterator[Guarded]:
    before = asyncio.all_tasks()
    memory = Guarded(site)
    try:
        yield memory
    finally:
        await memory.aclose()
        assert asyncio.all_tasks() == before


def asking(credential: Credential = ALICE, *, insists: bool = False) -> CallContext:
    return replace(context_for(credential=credential), insists=insists)


async def outcome(memory: Guarded, request: SiteRequest = READ, context: CallContext | None = None) -> SiteAnswer | SiteError:
    try:
        return await memory.exchange(request, context or asking())
    except SiteError as error:
        return error


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


def is_down(memory: FailureMemory) -> bool:
    return any(outage.failure is not None for outage in memory._outages.values())


def well_but_for_questions(words: str) -> Callable[[str, str], Outcome]:
    bad = SiteAnswer(200, "application/json", f'{{"error":"{words}"}}'.encode())
    return lambda _, path: bad if path in (READ.path, HEAVY.path) else OK


class Slow(Site):
    """Answers questions only when ``gate`` is set; looks at once."""

    def __init__(self, by: Callable[[str, str], Outcome]) -> None:
        super().__init__(by)
        self.gate = asyncio.Event()

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        if request.path in (READ.path, HEAVY.path):
            self.asked.append((context.credential.token.get_secret_value(), request.path))
            await self.gate.wait()
            return self.by("", request.path)  # type: ignore[return-value]
        return await super().exchange(request, context)


async def ask_as(
    memory: Guarded, caller: str, request: SiteRequest = READ, credential: Credential = ALICE
) -> SiteAnswer | SiteError:
    with entered(RequestScope(Traffic(LimitSettings.model_validate({})), caller)):
        return await outcome(memory, request, asking(credential))


BAD = SiteAnswer(200, "application/json", b'{"error":"no"}')


async def outcome_of(exchange: Exchange) -> SiteAnswer | SiteError:
    try:
        return await exchange.exchange(READ, asking())
    except SiteError as error:
        return error
