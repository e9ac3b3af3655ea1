"""The way to Redis: who is cancelled ends, whenever that comes; what the breaker lets through."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from cache.asking import Site, ask, key
from cache.servers import Valkey, lagging
from ccgateway.cache.entries import RAW
from ccgateway.cache.facade import Cache
from ccgateway.deadline import Deadline

Opened = Callable[..., Cache]


async def test_a_caller_who_is_cancelled_ends_at_whatever_moment_it_comes(opened: Opened, valkey: Valkey) -> None:
    cache, site = opened(valkey.url), Site(takes=30)
    chance = random.Random(1)
    for number in range(400):
        asking = asyncio.create_task(cache.fetch([key(f"m{number}")], site.fill, RAW, deadline=Deadline.after(30)))
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)
        asking.cancel()
        done, _ = await asyncio.wait([asking], timeout=2)
        assert done and asking.cancelled()


async def test_connections_are_bounded_however_many_ask(opened: Opened, valkey: Valkey) -> None:
    cache, site = opened(valkey.url, redis_connections=3), Site()
    await asyncio.gather(*(ask(cache, site, key(f"m{number}")) for number in range(100)))
    assert valkey.ask("CLIENT", "LIST").count(b"\n") <= 3 + 2


async def test_a_redis_that_answers_late_is_left_alone_and_comes_back_unasked(
    opened: Opened, valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    async with lagging(valkey.port) as lag:
        cache, site = opened(f"redis://127.0.0.1:{lag.port}", redis_timeout=1.0, redis_retry_after=0.5), Site()
        await ask(cache, site, key("m"))
        lag.seconds = 0.4
        for number in range(20):
            await ask(cache, site, key(f"slow {number}"))
            if await is_left_alone(cache):
                break
        assert await is_left_alone(cache)
        for number in range(50):  # each as quick as without it
            await asyncio.wait_for(ask(cache, site, key(f"without {number}")), 0.3)
        await asyncio.sleep(2.0)
        assert await is_left_alone(cache)  # it was tried, and is as slow as before
        lag.seconds = 0.0
        async with asyncio.timeout(20):
            while await is_left_alone(cache):  # noqa: ASYNC110 - nothing else tells
                await asyncio.sleep(0.05)
        lines = [record.getMessage() for record in caplog.records if record.name == "ccgateway.cache"]
        assert len(lines) == 2
        assert "cache.redis_slow" in lines[0] and "is back after" in lines[1]


async def test_some_slow_answers_among_quick_ones_are_no_reason(opened: Opened, valkey: Valkey) -> None:
    async with lagging(valkey.port) as lag:
        cache, site = opened(f"redis://127.0.0.1:{lag.port}", redis_timeout=1.0), Site()
        for number in range(12):
            lag.seconds = 0.15 if number % 2 else 0.0
            await ask(cache, site, key(f"m{number}"))
        assert not await is_left_alone(cache)


async def is_left_alone(cache: Cache) -> bool:
    redis = (await cache.stats()).redis
    assert redis is not None
    return redis.state == "down"
