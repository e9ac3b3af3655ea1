"""Which release a site speaks is found out once for all who wait, and what was found last outlives failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from ccgateway.errors import Code, SiteError
from ccgateway.settings import SiteSettings
from ccgateway.site import release
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext, Exchange, SiteAnswer, SiteRequest
from ccgateway.site.release import SiteRelease
from support.scripted import context_for
from support.upstream import ADMIN, Upstream

ALICE = Credential(SecretStr("alice"), "alice", frozenset({"user"}), "/api")


@asynccontextmanager
async def release_of(site: Exchange) -> AsyncIterator[SiteRelease]:
    settings = SiteSettings.model_validate({"name": "here", "number": 1, "url": "http://here.example.org", "token": "x"})
    found = SiteRelease(settings, site)
    before = asyncio.all_tasks()
    try:
        yield found
    finally:
        await found.aclose()
        assert asyncio.all_tasks() == before


def down(_: SiteRequest) -> SiteAnswer | SiteError | None:
    return SiteError(Code.UNREACHABLE, "here", "No.")


@pytest.mark.parametrize("fails", [False, True])
async def test_however_many_wait_it_is_searched_for_once_also_when_that_fails(fails: bool) -> None:
    site = Upstream(release="1.4")
    if fails:
        site.fails = down
    async with release_of(site) as found:
        one = await asyncio.gather(found.current(context_for()), return_exceptions=True)
        alone = len(site.requests)
        assert isinstance(one[0], SiteError) is fails
    site.requests.clear()
    async with release_of(site) as found:
        outcomes = await asyncio.gather(*(found.current(context_for()) for _ in range(50)), return_exceptions=True)
        assert len(site.requests) == alone
        assert {isinstance(outcome, SiteError) for outcome in outcomes} == {fails}


async def test_one_persons_refused_token_fails_nobody_elses_search() -> None:
    site = Upstream(release="1.4")

    class Refusing:
        async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
            if context.credential is ALICE:
                return SiteAnswer(401, "application/json", b'{"error":"token expired"}')
            return await site.exchange(request, context)

    async with release_of(Refusing()) as found:
        outcomes = await asyncio.gather(
            *(found.current(context_for(credential=who)) for who in (ALICE, ADMIN)), return_exceptions=True
        )
    assert isinstance(outcomes[0], SiteError) and outcomes[0].code is Code.SITE_UNAUTHORIZED
    assert not isinstance(outcomes[1], BaseException) and outcomes[1].name == "1.4"


async def test_what_was_known_last_is_kept_over_failures_and_not_searched_for_with_every_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Upstream(release="1.4")
    async with release_of(site) as found:
        assert (await found.current(context_for())).name == "1.4"
        monkeypatch.setattr(release, "REMEMBERED_FOR", 0.0)
        site.fails = down
        site.requests.clear()
        assert [(await found.current(context_for())).name for _ in range(20)] == ["1.4"] * 20
        assert len(site.requests) == 1


async def test_the_one_who_began_leaving_ends_nobody_elses_search_and_the_last_one_leaving_ends_it() -> None:
    site = Upstream(release="1.4")
    gate = asyncio.Event()

    class Gated:
        async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
            await gate.wait()
            return await site.exchange(request, context)

    settings = SiteSettings.model_validate({"name": "here", "number": 1, "url": "http://here.example.org", "token": "x"})
    found, before = SiteRelease(settings, Gated()), asyncio.all_tasks()
    first, second = (asyncio.create_task(found.current(context_for())) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    gate.set()
    assert (await second).name == "1.4"
    gate.clear()
    found.doubt()
    last = asyncio.create_task(found.current(context_for()))
    await asyncio.sleep(0.01)
    last.cancel()
    await asyncio.gather(last, return_exceptions=True)
    await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == before
