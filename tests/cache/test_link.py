"""The way to Redis: who is cancelled ends, whenever that comes; what the breaker lets through."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from cache.asking import Site, ask, key
from cache.servers import Valkey
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
