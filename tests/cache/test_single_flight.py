"""Who waits, who leaves, who owns: nobody's leaving fails anybody else, and nothing goes on that nobody wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from cache.asking import Site, ask, key, settled
from cache.servers import Valkey
from ccgateway.cache.entries import RAW, Source
from ccgateway.cache.facade import Cache
from ccgateway.deadline import Deadline
from ccgateway.errors import Code, GatewayError
from support.memory import LARGE, held

Opened = Callable[..., Cache]


@pytest.fixture(params=["memory", "redis"])
def cache(request: pytest.FixtureRequest, opened: Opened) -> Cache:
    return opened(request.getfixturevalue("valkey").url) if request.param == "redis" else opened()


async def left(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_many_at_once_are_one_call(cache: Cache) -> None:
    site = Site(takes=0.05)
    answers = await asyncio.gather(*(ask(cache, site) for _ in range(500)))
    assert len(site.calls) == 1
    assert {hits[key()].value for hits in answers} == {site.payload(key())}
    counts = (await cache.stats()).counts
    assert (counts.fills, counts.misses, counts.waits) == (1, 500, 499)


async def test_askers_of_overlapping_keys_fetch_each_key_once(cache: Cache) -> None:
    site = Site(takes=0.05)
    await asyncio.gather(ask(cache, site, key("a"), key("b")), ask(cache, site, key("b"), key("c")), ask(cache, site, key("c")))
    assert sorted(one.question[0] for call in site.calls for one in call) == ["a", "b", "c"]


async def test_what_was_dropped_does_not_wait_for_the_collector(cache: Cache) -> None:
    site = Site()
    site.payload = lambda key: b"1.00," * (LARGE // 5)  # type: ignore[method-assign]
    with held() as bytes_held:
        await asyncio.gather(ask(cache, site, key("a")), ask(cache, site, key("a"), key("b")))
        await settled(cache)
        await cache.clear()
        assert bytes_held() < LARGE / 2


async def test_the_first_may_leave(cache: Cache) -> None:
    site = Site(takes=0.1)
    first = asyncio.create_task(ask(cache, site))
    await site.begun.wait()
    others = [asyncio.create_task(ask(cache, site)) for _ in range(5)]
    await asyncio.sleep(0.02)
    await left(first)
    assert {hits[key()].source for hits in await asyncio.gather(*others)} == {Source.SITE}
    assert len(site.calls) == 1


async def test_when_all_have_left_the_fetch_ends_and_the_next_begins_anew(cache: Cache) -> None:
    site = Site(takes=30)
    asking = [asyncio.create_task(ask(cache, site)) for _ in range(3)]
    await site.begun.wait()
    await left(*asking)
    await settled(cache)
    assert site.ended == 1
    site.takes = 0
    assert (await ask(cache, site, seconds=2))[key()].source is Source.SITE


async def test_one_who_runs_out_of_time_leaves_the_others_theirs(cache: Cache) -> None:
    site = Site(takes=2.0)
    hurried = asyncio.create_task(ask(cache, site, seconds=1.0))
    patient = asyncio.create_task(ask(cache, site, seconds=20))
    with pytest.raises(TimeoutError):
        await hurried
    assert (await patient)[key()].value == site.payload(key())
    assert len(site.calls) == 1


async def test_a_fetch_has_a_limit_of_its_own(opened: Opened) -> None:
    cache, site = opened(fill_timeout=0.1), Site(takes=30)
    with pytest.raises(TimeoutError):
        await ask(cache, site, seconds=5)
    assert site.ended == 1


async def test_a_fill_that_was_cancelled_by_others_is_an_error_not_a_cancellation(cache: Cache) -> None:
    async def cancelled(keys: object, deadline: Deadline) -> dict[object, object]:
        raise asyncio.CancelledError

    with pytest.raises(GatewayError) as refused:
        await cache.fetch([key()], cancelled, RAW, deadline=Deadline.after(5))  # type: ignore[arg-type]
    assert refused.value.code is Code.INTERNAL


async def test_a_fill_that_answers_nonsense_fails_its_askers(cache: Cache) -> None:
    async def nonsense(keys: object, deadline: Deadline) -> int:
        return 1

    with pytest.raises(AttributeError):
        await cache.fetch([key()], nonsense, RAW, deadline=Deadline.after(5))  # type: ignore[arg-type]


async def test_what_is_being_put_is_given_to_who_comes_meanwhile(opened: Opened, own_valkey: Valkey) -> None:
    cache, site = opened(own_valkey.url, redis_timeout=1.0), Site(takes=0.1)
    first = asyncio.create_task(ask(cache, site))
    await site.begun.wait()
    await first
    for _ in range(20):
        assert (await ask(cache, site))[key()].value == site.payload(key())
    assert len(site.calls) == 1


async def test_closing_ends_what_runs_and_gives_claims_back(opened: Opened, valkey: Valkey) -> None:
    cache, site = opened(valkey.url), Site(takes=30)
    asking = asyncio.create_task(ask(cache, site))
    await site.begun.wait()
    assert valkey.ask("KEYS", "*:l:*")
    await cache.aclose()
    with pytest.raises(RuntimeError):
        await asking
    assert valkey.ask("KEYS", "*:l:*") == []


async def test_one_who_asks_a_closed_cache_gets_an_answer_all_the_same(cache: Cache) -> None:
    await cache.aclose()
    assert (await ask(cache, Site()))[key()].source is Source.SITE
