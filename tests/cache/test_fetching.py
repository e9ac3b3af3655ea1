"""What a caller gets, from memory alone and through a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from cache.asking import JOB, Site, ask, key, settled
from cache.servers import Valkey
from ccgateway.cache.entries import RAW, Filled, Hit, Source
from ccgateway.cache.facade import Cache
from ccgateway.cache.keys import InvalidationTag
from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SiteError

Opened = Callable[..., Cache]


@pytest.fixture(params=["memory", "redis"])
def cache(request: pytest.FixtureRequest, opened: Opened) -> Cache:
    return opened(request.getfixturevalue("valkey").url) if request.param == "redis" else opened()


async def test_what_is_asked_twice_is_fetched_once(cache: Cache) -> None:
    site = Site()
    first = await ask(cache, site)
    await settled(cache)
    second = await ask(cache, site)
    assert (first[key()].source, second[key()].source) == (Source.SITE, Source.MEMORY)
    assert first[key()].value == second[key()].value == b'"1 aurora/c%2F1%2F17/all/flops/node"'
    assert len(site.calls) == 1


async def test_only_what_is_not_there_is_fetched_and_in_one_call(cache: Cache) -> None:
    site = Site()
    await ask(cache, site, key("a"), key("b"))
    await settled(cache)
    hits = await ask(cache, site, key("a"), key("b"), key("c"), key("d"), key("a"))
    assert site.calls == [(key("a"), key("b")), (key("c"), key("d"))]
    assert hits.keys() == {key("a"), key("b"), key("c"), key("d")}


async def test_nothing_asked_nothing_done(cache: Cache) -> None:
    assert await cache.fetch([], Site().fill, RAW, deadline=Deadline.after(1)) == {}


async def test_a_metric_that_the_site_does_not_have_is_remembered_as_such(cache: Cache) -> None:
    site = Site()
    site.absent.add("flops")
    await ask(cache, site)
    await settled(cache)
    hit = (await ask(cache, site))[key()]
    assert (hit.absent, hit.value, len(site.calls)) == (True, b"", 1)


async def test_what_a_fill_says_nothing_of_is_left_out_and_not_remembered(cache: Cache) -> None:
    calls = 0

    async def silent(keys: object, deadline: Deadline) -> dict[object, Filled]:
        nonlocal calls
        calls += 1
        return {}

    for _ in range(2):
        assert await cache.fetch([key()], silent, RAW, deadline=Deadline.after(5)) == {}  # type: ignore[arg-type]
        await settled(cache)
    assert calls == 2


async def test_more_than_was_asked_for_is_kept_unless_of_another_audience_or_subject(cache: Cache) -> None:
    more = [key("mem"), key("mem", audience="user:eve"), key("mem", job="c/2/18")]

    async def generous(keys: object, deadline: Deadline) -> dict[object, Filled]:
        return {one: Filled(b"1", 60) for one in [key(), *more]}

    hits = await asyncio.gather(*[cache.fetch([key()], generous, RAW, deadline=Deadline.after(5)) for _ in range(2)])  # type: ignore[arg-type]
    assert [one.keys() for one in hits] == [{key(), more[0]}] * 2
    await settled(cache)
    site = Site()
    await ask(cache, site, *more)
    assert site.calls == [tuple(more[1:])]


async def test_one_may_look_without_asking(cache: Cache) -> None:
    site = Site(fresh_for=60)
    await ask(cache, site, key("a"))
    await settled(cache)
    assert (await cache.peek([key("a"), key("b")], RAW)).keys() == {key("a")}
    await cache.invalidate("aurora", JOB)
    assert await cache.peek([key("a")], RAW) == {}
    assert len(site.calls) == 1


async def test_a_moment_holds_until_something_is_written(cache: Cache) -> None:
    jobs, other = InvalidationTag("aurora", "jobs"), InvalidationTag("borealis")
    snapshot = await cache.snapshot(InvalidationTag("aurora"), jobs)
    assert snapshot is not None
    await cache.invalidate("borealis")
    await cache.invalidate("aurora", JOB)
    assert await cache.is_current(snapshot)
    await cache.invalidate("aurora", "jobs")
    assert not await cache.is_current(snapshot)
    again = await cache.snapshot(jobs, other)
    assert again is not None and await cache.is_current(again)
    await cache.clear()
    assert not await cache.is_current(again)


async def test_what_is_good_for_no_time_is_given_and_not_kept(cache: Cache) -> None:
    site = Site(fresh_for=0)
    for _ in range(2):
        assert (await ask(cache, site))[key()].source is Source.SITE
        await settled(cache)
    assert len(site.calls) == 2


async def test_visibilities_share_nothing(cache: Cache) -> None:
    site = Site()
    mine, theirs = key(audience="user:eve"), key()
    hits = await ask(cache, site, theirs)
    await settled(cache)
    hits |= await ask(cache, site, mine)
    assert hits[mine].value != hits[theirs].value
    assert len(site.calls) == 2


async def test_a_failed_fill_fails_all_who_waited_and_leaves_nothing(cache: Cache) -> None:
    site = Site(takes=0.05)
    site.fails = SiteError(Code.SITE_BUSY, "aurora", "It is busy.", retry_after=7)
    outcomes = await asyncio.gather(*(ask(cache, site) for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in outcomes] == [SiteError] * 5
    assert outcomes[0].retry_after == 7  # type: ignore[union-attr]
    assert len(site.calls) == 1
    site.fails = None
    assert (await ask(cache, site))[key()].source is Source.SITE


async def test_after_its_life_it_is_fetched_anew(cache: Cache) -> None:
    site = Site(fresh_for=0.1)
    await ask(cache, site)
    await asyncio.sleep(0.12)
    assert (await ask(cache, site))[key()].source is Source.SITE


async def test_stale_is_served_at_once_and_refreshed_meanwhile(cache: Cache) -> None:
    site = Site(fresh_for=3.0, stale_for=30)
    await ask(cache, site)
    await asyncio.sleep(3.05)
    site.version, site.takes = 2, 0.05
    stale = await asyncio.gather(*(ask(cache, site) for _ in range(20)))
    assert {(hits[key()].stale, hits[key()].value[:2]) for hits in stale} == {(True, b'"1')}
    await settled(cache)
    fresh = (await ask(cache, site))[key()]
    assert (fresh.value[:2], fresh.stale, len(site.calls)) == (b'"2', False, 2)


async def test_a_refresh_that_fails_harms_nobody(cache: Cache) -> None:
    site = Site(fresh_for=0.05, stale_for=30)
    await ask(cache, site)
    await asyncio.sleep(0.06)
    site.fails = SiteError(Code.UNREACHABLE, "aurora", "No.")
    for _ in range(3):
        assert (await ask(cache, site))[key()].stale
        await settled(cache)


async def test_refreshes_are_bounded(opened: Opened) -> None:
    cache, site = opened(refreshes=2), Site(fresh_for=0.02, stale_for=30)
    keys = [key(job=f"c/{number}/17") for number in range(10)]
    for one in keys:
        await ask(cache, site, one)
    await asyncio.sleep(0.03)
    site.takes = 0.2
    for one in keys:
        assert (await ask(cache, site, one))[one].stale
    counts = (await cache.stats()).counts
    assert (counts.refreshes, counts.refreshes_skipped) == (2, 8)


async def test_a_bump_outdates_the_subject_and_nothing_else(cache: Cache) -> None:
    site, other = Site(), key(job="c/2/18")
    await ask(cache, site, key())
    await ask(cache, site, other)
    await settled(cache)
    site.version = 2
    await cache.invalidate("aurora", JOB)
    assert (await ask(cache, site))[key()].value.startswith(b'"2')
    assert (await ask(cache, site, other))[other].value.startswith(b'"1')


@pytest.mark.parametrize("clear", [False, True])
async def test_a_bump_of_a_site_outdates_all_of_it_and_no_other_site(cache: Cache, *, clear: bool) -> None:
    site, other = Site(), key(site="borealis")
    await ask(cache, site, key())
    await ask(cache, site, other)
    await settled(cache)
    site.version = 2
    await (cache.clear(site="aurora") if clear else cache.invalidate("aurora"))
    assert (await ask(cache, site))[key()].value.startswith(b'"2')
    assert (await ask(cache, site, other))[other].value.startswith(b'"1')


async def test_clearing_says_how_much_there_was(cache: Cache) -> None:
    site = Site()
    for one in (key("a"), key("b", job="c/2/18"), key("c", site="borealis")):
        await ask(cache, site, one)
    await settled(cache)
    assert await cache.clear(site="aurora", subject=JOB) == 1
    assert await cache.clear(site="aurora") == 1
    assert await cache.clear() == 1
    assert await cache.clear() == 0


async def test_a_fill_under_way_at_a_bump_is_for_those_who_asked_before(cache: Cache) -> None:
    site = Site(takes=0.1)
    early = asyncio.create_task(ask(cache, site))
    await site.begun.wait()
    site.version = 2
    await cache.invalidate("aurora", JOB)
    late = await ask(cache, site)
    assert (await early)[key()].value.startswith(b'"1')
    assert late[key()].value.startswith(b'"2')
    await settled(cache)
    assert (await ask(cache, site))[key()].value.startswith(b'"2')


async def test_large_payloads_come_back_as_they_were(opened: Opened, valkey: Valkey) -> None:
    large = b"[" + b"1.25,NaN," * 400_000 + b"0]"

    async def fill(keys: object, deadline: Deadline) -> dict[object, Filled]:
        return {key(): Filled(large, 60)}

    for source in (Source.SITE, Source.REDIS):
        cache = opened(valkey.url)
        hit: Hit[bytes] = (await cache.fetch([key()], fill, RAW, deadline=Deadline.after(5)))[key()]  # type: ignore[arg-type]
        assert (hit.source, hit.value) == (source, large)
        await settled(cache)
    assert int(valkey.ask("MEMORY", "USAGE", valkey.ask("KEYS", "*:e:*")[0])) < len(large) / 50


async def test_memory_keeps_within_its_bytes(opened: Opened) -> None:
    cache, site = opened(memory_bytes=5_000), Site()
    for number in range(20):
        await ask(cache, site, key(f"m{number}"))
    memory = (await cache.stats()).memory
    assert memory is not None
    assert memory.bytes <= 5_000
    assert memory.entries + memory.evictions == 20
    assert memory.evictions > 0


async def test_without_room_everything_is_fetched_and_still_only_once_at_a_time(opened: Opened) -> None:
    cache, site = opened(memory_bytes=0), Site(takes=0.02)
    await asyncio.gather(*(ask(cache, site) for _ in range(10)))
    await settled(cache)
    await ask(cache, site)
    assert len(site.calls) == 2


async def test_the_shared_secret_shows_nowhere(opened: Opened, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    cache = opened("redis://eve:canary-canary@127.0.0.1:1/0")
    await ask(cache, Site())
    stats = await cache.stats()
    assert "canary" not in caplog.text + repr(cache) + repr(stats)
    assert "redis://eve:***@127.0.0.1:1/0" in repr(cache)
